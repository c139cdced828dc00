// TLS against a client of OpenSSL, over a pair of sockets.
#include "devices/transport/tls_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "base/strings.h"
#include "base/unique_fd.h"
#include "devices/transport/device_certificate.h"
#include "tests/fakes/net_client.h"
#include "tests/fakes/temp_folder.h"
#include "tests/fakes/test_certificates.h"

namespace sluice::transport {
namespace {

using fakes::NetClient;
using fakes::TlsClientOptions;
using testing::HasSubstr;
using State = ByteStream::State;

class TlsServerTest : public testing::Test {
 protected:
  TlsServerTest() { Install(authority_, {.common_name = "first", .addresses = {"127.0.0.1"}}); }

  void Put(const std::string& name, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, content).ok());
  }
  void Install(const fakes::TestAuthority& authority, const fakes::CertificateRequest& request) {
    const fakes::TestCertificate made = authority.Issue(request);
    Put("server.pem", made.certificate_pem);
    Put("server.key", made.private_key_pem);
  }
  void Load(bool ask = false, bool require = false, int64_t floor_ms = 0) {
    Put("devices.pem", devices_.certificate_pem());
    auto loaded = TlsServer::Load({.certificate_file = folder_ / "server.pem",
                                   .key_file = folder_ / "server.key",
                                   .client_ca_file = ask ? folder_ / "devices.pem" : "",
                                   .client_certificate_required = require,
                                   .clock_floor_ms = floor_ms},
                                  clock_);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    server_ = *std::move(loaded);
  }

  TlsClientOptions Client() const { return {.ca_pem = authority_.certificate_pem()}; }
  TlsClientOptions Client(const fakes::TestCertificate& mine) const {
    return {.ca_pem = authority_.certificate_pem(), .certificate_pem = mine.certificate_pem, .key_pem = mine.private_key_pem};
  }

  // Repeats `step` until it is done; waits on the socket as it says.
  State Drive(const std::function<State()>& step) {
    for (;;) {
      const State state = step();
      if (state != State::kWantRead && state != State::kWantWrite) return state;
      pollfd wait{socket_.get(), static_cast<short>(state == State::kWantRead ? POLLIN : POLLOUT), 0};
      if (poll(&wait, 1, NetClient::kLimitMs) <= 0) return State::kError;
    }
  }
  // Both ends, each on its own thread; what the server's said.
  State Handshake(const TlsClientOptions& options, const NetClient* again = nullptr) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    socket_ = UniqueFd(ends[0]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    client_ = NetClient();
    client_.Adopt(ends[1]);
    auto connected = std::async(std::launch::async, [&] {
      client_ok_ = client_.StartTls(options, again);
      if (!client_ok_) client_.Close();
      return client_ok_;
    });
    stream_ = server_->Accept(socket_.get(), buffers_);
    const State state = Drive([this] { return stream_->Handshake(); });
    if (state != State::kOk) shutdown(socket_.get(), SHUT_RDWR);
    connected.get();
    return state;
  }
  std::string Read(size_t size) {
    std::string all;
    while (all.size() < size) {
      std::string_view bytes;
      const State state = Drive([&] { return stream_->Read(&bytes); });
      all += bytes;
      if (state != State::kOk) break;
    }
    return all;
  }

  fakes::TempFolder folder_;
  const fakes::TestAuthority authority_{"server authority"}, devices_{"device authority"}, stranger_{"device authority"};
  ManualClock clock_{SystemClock().WallMs()};
  ReadBuffers buffers_;
  std::unique_ptr<TlsServer> server_;
  UniqueFd socket_;
  std::unique_ptr<ByteStream> stream_;
  NetClient client_;
  bool client_ok_ = false;
};

TEST_F(TlsServerTest, SpeaksTls12And13AndNothingOlder) {
  Load();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClientOptions options = Client();
    options.min_version = options.max_version = version;
    ASSERT_EQ(Handshake(options), State::kOk) << stream_->error();
    EXPECT_TRUE(client_ok_) << client_.error();
    EXPECT_THAT(stream_->security(), HasSubstr(version == TLS1_2_VERSION ? "TLSv1.2 ECDHE" : "TLSv1.3"));
    EXPECT_EQ(stream_->peer_certificate(), nullptr);
  }
  TlsClientOptions old = Client();
  old.min_version = TLS1_VERSION;
  old.max_version = TLS1_1_VERSION;
  old.ciphers = "ALL:@SECLEVEL=0";
  EXPECT_EQ(Handshake(old), State::kError);
  EXPECT_THAT(stream_->error(), HasSubstr("unsupported protocol"));
  TlsClientOptions weak = Client();
  weak.max_version = TLS1_2_VERSION;
  weak.ciphers = "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384";   // CBC
  EXPECT_EQ(Handshake(weak), State::kError);
  EXPECT_THAT(stream_->error(), HasSubstr("no shared cipher"));
}

TEST_F(TlsServerTest, CarriesBytesBothWays) {
  Load();
  ASSERT_EQ(Handshake(Client()), State::kOk);
  std::string much;
  for (int i = 0; i < 400'000; ++i) much += static_cast<char>(i * 31 >> 3);
  std::thread sender([&] { EXPECT_TRUE(client_.Send(much)); });
  EXPECT_EQ(Read(much.size()), much);
  sender.join();
  std::thread receiver([&] {
    std::string all;
    while (all.size() < much.size()) {
      const std::string more = client_.Receive();
      if (more.empty()) break;
      all += more;
    }
    EXPECT_EQ(all, much);
  });
  for (std::string_view rest = much; !rest.empty();) {
    size_t written = 0;
    ASSERT_EQ(Drive([&] { return stream_->Write(rest, &written); }), State::kOk);
    rest.remove_prefix(written);
  }
  receiver.join();
}

TEST_F(TlsServerTest, StreamsShareTheirBuffers) {
  Load();
  ASSERT_EQ(Handshake(Client()), State::kOk);
  auto first_stream = std::move(stream_);
  UniqueFd first_socket = std::move(socket_);
  NetClient first_client = std::move(client_);
  ASSERT_EQ(Handshake(Client()), State::kOk);
  // The first one's record arrives in parts, the second one's whole in between.
  const std::string one(10'000, 'a'), two(5'000, 'b');
  ASSERT_TRUE(first_client.Send(one));
  ASSERT_TRUE(client_.Send(two));
  std::string got_one, got_two;
  for (int i = 0; i < 100 && (got_one.size() < one.size() || got_two.size() < two.size()); ++i) {
    std::string_view bytes;
    first_stream->Read(&bytes);
    got_one += bytes;
    stream_->Read(&bytes);
    got_two += bytes;
  }
  EXPECT_EQ(got_one, one);
  EXPECT_EQ(got_two, two);
}

TEST_F(TlsServerTest, GivesTheBytesThatCameWithTheEndOfTheHandshake) {
  Load();
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  socket_ = UniqueFd(ends[0]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  client_.Adopt(ends[1]);
  std::promise<void> sent;
  std::thread client([&] {
    EXPECT_TRUE(client_.StartTls(Client()));
    EXPECT_TRUE(client_.Send("CONNECT"));
    sent.set_value();
  });
  stream_ = server_->Accept(socket_.get(), buffers_);
  // The client's last flight and its first data are there together before the server looks.
  pollfd wait{socket_.get(), POLLIN, 0};
  ASSERT_EQ(poll(&wait, 1, NetClient::kLimitMs), 1);
  EXPECT_EQ(stream_->Handshake(), State::kWantRead);
  sent.get_future().wait();
  ASSERT_EQ(stream_->Handshake(), State::kOk);
  std::string_view bytes;
  stream_->Read(&bytes);
  EXPECT_EQ(bytes, "CONNECT");
  client.join();
}

TEST_F(TlsServerTest, BelievesOnlyWhatItsAuthoritySigned) {
  Load(true, true);
  const fakes::CertificateRequest request{.uris = {"spiffe://a.b/device/vm-1"}};
  ASSERT_EQ(Handshake(Client(devices_.Issue(request))), State::kOk) << stream_->error();
  EXPECT_EQ(DeviceOfCertificate({}, stream_->peer_certificate()).value(), "vm-1");

  EXPECT_EQ(Handshake(Client()), State::kError);
  EXPECT_THAT(stream_->error(), HasSubstr("peer did not return a certificate"));
  EXPECT_EQ(Handshake(Client(stranger_.Issue(request))), State::kError);
  EXPECT_THAT(stream_->error(), HasSubstr("certificate verify failed"));
  EXPECT_EQ(Handshake(Client(authority_.Issue(request))), State::kError);
  fakes::CertificateRequest expired = request;
  expired.valid_from_s = -7200;
  expired.valid_to_s = -3600;
  EXPECT_EQ(Handshake(Client(devices_.Issue(expired))), State::kError);
  EXPECT_THAT(stream_->error(), HasSubstr("certificate has expired"));
  fakes::CertificateRequest early = request;
  early.valid_from_s = 3600;
  EXPECT_EQ(Handshake(Client(devices_.Issue(early))), State::kError);
  EXPECT_THAT(stream_->error(), HasSubstr("not yet valid"));
}

TEST_F(TlsServerTest, ACertificateMayBeLeftOutWhereAPasswordWillDo) {
  Load(true, false);
  EXPECT_EQ(Handshake(Client()), State::kOk);
  EXPECT_EQ(stream_->peer_certificate(), nullptr);
  EXPECT_EQ(Handshake(Client(stranger_.Issue({}))), State::kError) << "but not a wrong one";
}

TEST_F(TlsServerTest, AClockThatWasNeverSetCountsAsItsFloor) {
  Load(true, true, clock_.WallMs());
  clock_.JumpWallMs(-clock_.WallMs());   // 1970
  EXPECT_EQ(Handshake(Client(devices_.Issue({}))), State::kOk) << stream_->error();
}

TEST_F(TlsServerTest, ADeviceThatComesBackResumes) {
  Load(true, true);
  const TlsClientOptions options = Client(devices_.Issue({.uris = {"spiffe://a.b/device/vm-1"}}));
  ASSERT_EQ(Handshake(options), State::kOk);
  size_t written = 0;
  ASSERT_EQ(stream_->Write("x", &written), State::kOk);
  ASSERT_EQ(client_.Receive(), "x");   // the ticket came before it
  const NetClient first = std::move(client_);
  ASSERT_EQ(Handshake(options, &first), State::kOk);
  EXPECT_TRUE(client_.resumed());
  ASSERT_NE(stream_->peer_certificate(), nullptr);
  EXPECT_EQ(DeviceOfCertificate({}, stream_->peer_certificate()).value(), "vm-1");

  // New authorities: nobody comes in by an old ticket.
  Put("devices.pem", stranger_.certificate_pem());
  ASSERT_TRUE(server_->Reload().value());
  EXPECT_EQ(Handshake(options, &first), State::kError);
}

TEST_F(TlsServerTest, ARenewedCertificateCountsFromTheNextConnectionOn) {
  Load();
  ASSERT_EQ(Handshake(Client()), State::kOk);
  EXPECT_EQ(client_.peer_common_name(), "first");
  EXPECT_FALSE(server_->Reload().value()) << "nothing changed";
  Install(authority_, {.common_name = "second", .addresses = {"127.0.0.1"}});
  EXPECT_TRUE(server_->Reload().value());
  auto old_stream = std::move(stream_);
  UniqueFd old_socket = std::move(socket_);
  NetClient old_client = std::move(client_);
  ASSERT_EQ(Handshake(Client()), State::kOk);
  EXPECT_EQ(client_.peer_common_name(), "second");
  size_t written = 0;
  ASSERT_EQ(old_stream->Write("still here", &written), State::kOk);
  EXPECT_EQ(old_client.Receive(), "still here");
}

TEST_F(TlsServerTest, BrokenFilesKeepTheOldOnesAndAreToldOnce) {
  Load();
  Put("server.pem", authority_.Issue({.common_name = "without its key"}).certificate_pem);
  auto reloaded = server_->Reload();
  ASSERT_FALSE(reloaded.ok());
  EXPECT_THAT(std::string(reloaded.status().message()), HasSubstr("is not the key of certificate"));
  EXPECT_FALSE(server_->Reload().value());
  Put("server.key", "junk");
  reloaded = server_->Reload();
  EXPECT_THAT(std::string(reloaded.status().message()), HasSubstr("server.key"));
  ASSERT_EQ(Handshake(Client()), State::kOk);
  EXPECT_EQ(client_.peer_common_name(), "first");
  Install(authority_, {.common_name = "third", .addresses = {"127.0.0.1"}});
  EXPECT_TRUE(server_->Reload().value());
}

TEST_F(TlsServerTest, FilesThatCannotBeUsedAreNamed) {
  const auto load = [&](const std::string& certificate, const std::string& key, const std::string& authorities) {
    return std::string(TlsServer::Load({.certificate_file = folder_ / certificate,
                                        .key_file = folder_ / key,
                                        .client_ca_file = authorities.empty() ? "" : folder_ / authorities},
                                       clock_)
                           .status()
                           .message());
  };
  Put("junk", "junk");
  EXPECT_THAT(load("nothing.pem", "server.key", ""), HasSubstr("nothing.pem"));
  EXPECT_THAT(load("junk", "server.key", ""), HasSubstr("holds no PEM certificate"));
  EXPECT_THAT(load("server.pem", "junk", ""), HasSubstr("holds no PEM key"));
  EXPECT_THAT(load("server.pem", "server.key", "junk"), HasSubstr("holds no PEM certificate"));
}

TEST_F(TlsServerTest, AnEndIsAnEndWithAndWithoutAGoodbye) {
  Load();
  ASSERT_EQ(Handshake(Client()), State::kOk);
  ASSERT_TRUE(client_.Send("last words"));
  client_.Close();
  std::string_view bytes;
  State state = Drive([&] { return stream_->Read(&bytes); });
  EXPECT_EQ(bytes, "last words");
  if (state == State::kOk) state = Drive([&] { return stream_->Read(&bytes); });
  EXPECT_EQ(state, State::kEnd);

  ASSERT_EQ(Handshake(Client()), State::kOk);
  shutdown(client_.fd(), SHUT_RDWR);
  EXPECT_EQ(Drive([&] { return stream_->Read(&bytes); }), State::kEnd);

  ASSERT_EQ(Handshake(Client()), State::kOk);
  send(client_.fd(), "this is no record", 17, 0);
  EXPECT_EQ(Drive([&] { return stream_->Read(&bytes); }), State::kError);
  EXPECT_NE(stream_->error(), "");
}

}  // namespace
}  // namespace sluice::transport
