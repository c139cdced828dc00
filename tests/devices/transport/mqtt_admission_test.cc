// Who may come in to the listener: identity, limits, changes while it runs.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/devices/transport/mqtt_listener_fixture.h"

namespace sluice::transport {
namespace {

using fakes::MqttPeer;
using testing::HasSubstr;

class MqttAdmissionTest : public MqttListenerFixture {
 protected:
  MqttReason Try(const fakes::PeerOptions& who) {
    MqttPeer peer;
    EXPECT_TRUE(peer.net.Connect(listener->port()));
    return ReasonOf(peer.Connect(who));
  }
  // Over TLS; kUnspecifiedError where the handshake or the server ends it without a word.
  MqttReason TryTls(const fakes::TlsClientOptions& tls, const fakes::PeerOptions& who = {}) {
    MqttPeer peer;
    EXPECT_TRUE(peer.net.Connect(listener->port()));
    if (!peer.net.StartTls(tls)) return MqttReason::kUnspecifiedError;
    return ReasonOf(peer.Connect(who));
  }
  // The server closes without an answer.
  bool IsTurnedAway(const std::string& from = "") {
    fakes::NetClient client;
    return client.Connect(listener->port(), from) && client.ReceiveToEnd();
  }
};

TEST_F(MqttAdmissionTest, APasswordIsItsOwnDevicesAlone) {
  Start();
  EXPECT_EQ(Try(As("vm-1", "secret-1")), MqttReason::kSuccess);
  EXPECT_EQ(Try(As("vm-1", "secret-2")), MqttReason::kBadUserNameOrPassword);
  EXPECT_EQ(Try(As("vm-9", "secret-1")), MqttReason::kBadUserNameOrPassword);
  EXPECT_EQ(Try(As("", "")), MqttReason::kNotAuthorized);
  EXPECT_EQ(Try(As("vm-1", "")), MqttReason::kNotAuthorized);
  EXPECT_EQ(Try(As("vm-1", std::string(2000, 'x'))), MqttReason::kNotAuthorized);
  const auto refusals = listener->status().refusals;
  EXPECT_EQ(refusals.wrong_password, 2u);
  EXPECT_EQ(refusals.no_credentials, 3u);
}

TEST_F(MqttAdmissionTest, WhoWasRightLatelyCostsNoScrypt) {
  Start();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Try(As("vm-1", "secret-1")), MqttReason::kSuccess);
  const auto status = listener->status();
  EXPECT_EQ(status.scrypts, 1u);
  EXPECT_EQ(status.remembered, 19u);
}

TEST_F(MqttAdmissionTest, WrongPasswordsMakeTheirNameWaitAndNoNeighbour) {
  options.failures = {.free = 2, .first_ms = 600'000, .most_ms = 600'000, .forgive_ms = 600'000};
  Start();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Try(As("vm-1", "wrong")), MqttReason::kBadUserNameOrPassword);
  EXPECT_EQ(Try(As("vm-1", "secret-1")), MqttReason::kServerBusy) << "right, but not known to be";
  EXPECT_EQ(Try(As("vm-2", "secret-2")), MqttReason::kSuccess) << "a neighbour that nobody knows yet";
  MqttPeer elsewhere;
  ASSERT_TRUE(elsewhere.net.Connect(listener->port(), "127.0.0.2"));
  EXPECT_EQ(ReasonOf(elsewhere.Connect(As("vm-1", "secret-1"))), MqttReason::kSuccess);
  EXPECT_EQ(Try(As("vm-1", "secret-1")), MqttReason::kSuccess) << "known to be right now";
  EXPECT_EQ(listener->status().refusals.back_off, 1u);
  EXPECT_EQ(listener->status().scrypts, 5u);
}

// Somebody behind the address tries names without end. What that costs is bounded, and a device behind the same address that
// nobody knows yet has its turn.
TEST_F(MqttAdmissionTest, WhoVariesNamesIsPacedAndKeepsNoNeighbourOut) {
  options.verifications = {.per_second = 4, .burst = 3};
  options.connections.per_second = 1000;
  Start();
  std::atomic<bool> done = false;
  std::vector<std::thread> attackers;
  for (int who = 0; who < 3; ++who) {
    attackers.emplace_back([&, who] {
      for (int i = 0; !done; ++i) {
        MqttPeer peer;
        if (peer.net.Connect(listener->port())) peer.Connect(As(StrCat("vm-", who, "-", i), "guess"));
      }
    });
  }
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(Eventually([](const auto& status) { return status.scrypts >= 6; }));   // the burst is used up
  const auto asked = std::chrono::steady_clock::now();
  EXPECT_EQ(Try(As("vm-1", "secret-1")), MqttReason::kSuccess);
  // Three at most stand before it, and one is due each 250 ms.
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(5));
  const double passed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  EXPECT_LE(static_cast<double>(listener->status().scrypts), 3 + 4 * passed_s + 2);
  EXPECT_EQ(Try(As("vm-1", "secret-1")), MqttReason::kSuccess) << "known, and asks nobody";
  MqttPeer elsewhere;
  ASSERT_TRUE(elsewhere.net.Connect(listener->port(), "127.0.0.2"));
  EXPECT_EQ(ReasonOf(elsewhere.Connect(As("vm-2", "secret-2"))), MqttReason::kSuccess);
  done = true;
  for (std::thread& attacker : attackers) attacker.join();
}

TEST_F(MqttAdmissionTest, RightPasswordsAreNotPaced) {
  options.verifications = {.per_second = 0.001, .burst = 1};
  Start();
  for (const char* device : {"vm-1", "vm-2"}) {
    EXPECT_EQ(Try(As(device, StrCat("secret-", device + 3))), MqttReason::kSuccess);
  }
  EXPECT_EQ(listener->status().scrypts, 2u);
}

TEST_F(MqttAdmissionTest, ACertificateNamesTheDevice) {
  UseTls(true);
  options.password_file = "";
  Start();
  EXPECT_EQ(TryTls(Tls(Certificate("vm-1"))), MqttReason::kSuccess);
  EXPECT_EQ(TryTls(Tls(Certificate("vm-1")), As("DVES_USER", "whatever")), MqttReason::kSuccess) << "it settles it";
  MqttPeer peer;
  ASSERT_TRUE(peer.net.Connect(listener->port()));
  ASSERT_TRUE(peer.net.StartTls(Tls(Certificate("vm-1"))));
  ASSERT_EQ(ReasonOf(peer.Connect({})), MqttReason::kSuccess);
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", "x", 1));
  EXPECT_EQ(handler.Await(1).at(0).device, "vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-2/sale", "x", 2));
  listener->answers()->Safe(handler.Await(1).at(0).token);
  EXPECT_EQ(peer.ExpectPuback(), 1);
  const auto ack = peer.Expect<MqttAck>();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->reason, MqttReason::kNotAuthorized);
}

TEST_F(MqttAdmissionTest, NoOtherCertificateComesIn) {
  UseTls(true);
  options.password_file = "";
  options.connections.per_second = 1000;
  Start();
  const fakes::TestAuthority stranger("device authority");
  const std::vector<std::string> uri = {"spiffe://a.b/device/vm-1"};
  EXPECT_EQ(TryTls(Tls()), MqttReason::kUnspecifiedError) << "none";
  EXPECT_EQ(TryTls(Tls(stranger.Issue({.uris = uri}))), MqttReason::kUnspecifiedError) << "another authority";
  EXPECT_EQ(TryTls(Tls(authority.Issue({.uris = uri}))), MqttReason::kUnspecifiedError) << "the server's authority";
  EXPECT_EQ(TryTls(Tls(devices.Issue({.uris = uri, .valid_from_s = -7200, .valid_to_s = -3600}))),
            MqttReason::kUnspecifiedError)
      << "expired";
  EXPECT_TRUE(Eventually([](const auto& status) {
    return status.last_refused.starts_with("127.0.0.1: ") && status.last_refused.find("has expired") != std::string::npos;
  })) << listener->status().last_refused;
  EXPECT_TRUE(Eventually([](const auto& status) { return status.refusals.handshake_failed == 4; }));
  EXPECT_EQ(TryTls(Tls(devices.Issue({.uris = {uri[0], "spiffe://a.b/device/vm-2"}}))), MqttReason::kUnspecifiedError) << "two";
  EXPECT_EQ(TryTls(Tls(devices.Issue({.common_name = "vm-1"}))), MqttReason::kUnspecifiedError) << "a name elsewhere";
  EXPECT_EQ(TryTls(Tls(devices.Issue({.uris = {"spiffe://a.b/gateway/vm-1"}}))), MqttReason::kUnspecifiedError);
  EXPECT_TRUE(Eventually([](const auto& status) { return status.refusals.certificate_name == 3; }));
  EXPECT_EQ(TryTls(Tls(Certificate("vm-1"))), MqttReason::kSuccess);
}

TEST_F(MqttAdmissionTest, ACommonNameWillDoWhereThatIsConfigured) {
  UseTls(true);
  options.password_file = "";
  options.certificate_name.place = DeviceNameRule::Place::kCommonName;
  Start();
  MqttPeer peer;
  ASSERT_TRUE(peer.net.Connect(listener->port()));
  ASSERT_TRUE(peer.net.StartTls(Tls(devices.Issue({.common_name = "vm-7"}))));
  ASSERT_EQ(ReasonOf(peer.Connect({})), MqttReason::kSuccess);
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-7/sale", "x", 1));
  EXPECT_EQ(handler.Await(1).at(0).device, "vm-7");
}

TEST_F(MqttAdmissionTest, EitherWayInWillDoWhereBothAreConfigured) {
  UseTls(true);
  Start();
  EXPECT_EQ(TryTls(Tls(Certificate("vm-1"))), MqttReason::kSuccess);
  EXPECT_EQ(TryTls(Tls(), As("vm-2", "secret-2")), MqttReason::kSuccess);
  EXPECT_EQ(TryTls(Tls(), As("vm-2", "wrong")), MqttReason::kBadUserNameOrPassword);
  EXPECT_EQ(TryTls(Tls()), MqttReason::kNotAuthorized);
  const fakes::TestAuthority stranger("device authority");
  EXPECT_EQ(TryTls(Tls(stranger.Issue({.uris = {"spiffe://a.b/device/vm-1"}})), As("vm-2", "secret-2")),
            MqttReason::kUnspecifiedError)
      << "a wrong certificate is no missing one";
}

TEST_F(MqttAdmissionTest, ARenewedCertificateIsUsedWithoutARestart) {
  UseTls(false);
  Start();
  MqttPeer before;
  ASSERT_TRUE(before.net.Connect(listener->port()));
  ASSERT_TRUE(before.net.StartTls(Tls()));
  EXPECT_EQ(before.net.peer_common_name(), "first");
  ASSERT_EQ(ReasonOf(before.Connect(As("vm-1", "secret-1"))), MqttReason::kSuccess);
  InstallCertificate("second");
  const auto sees_second = [&] {
    fakes::NetClient client;
    return client.Connect(listener->port()) && client.StartTls(Tls()) && client.peer_common_name() == "second";
  };
  ASSERT_TRUE(Eventually([&](const auto&) { return sees_second(); }));
  EXPECT_TRUE(before.Ping()) << "who was there stays";

  Put("server.pem", "junk");
  ASSERT_TRUE(Eventually([](const auto& status) { return !status.trouble.empty(); }));
  EXPECT_THAT(listener->status().trouble, HasSubstr("server.pem"));
  EXPECT_TRUE(sees_second());
  InstallCertificate("third");
  EXPECT_TRUE(Eventually([](const auto& status) { return status.trouble.empty(); }));
}

TEST_F(MqttAdmissionTest, AChangedOrRemovedPasswordEndsItsConnections) {
  Start();
  MqttPeer first = Peer("vm-1"), second = Peer("vm-2");
  Allow("vm-1", "another");
  const auto disconnect = first.Expect<MqttDisconnect>();
  ASSERT_TRUE(disconnect);
  EXPECT_EQ(disconnect->reason, MqttReason::kNotAuthorized);
  EXPECT_TRUE(first.net.ReceiveToEnd());
  EXPECT_EQ(Try(As("vm-1", "secret-1")), MqttReason::kBadUserNameOrPassword);
  EXPECT_EQ(Try(As("vm-1", "another")), MqttReason::kSuccess);
  EXPECT_TRUE(second.Ping()) << "not its business";
  Remove("vm-2");
  ASSERT_TRUE(second.Expect<MqttDisconnect>());
  EXPECT_TRUE(second.net.ReceiveToEnd());
  EXPECT_EQ(Try(As("vm-2", "secret-2")), MqttReason::kBadUserNameOrPassword);
}

// Its will, its session and what it retained are not there for new hardware of the same name.
TEST_F(MqttAdmissionTest, ADeviceThatIsAwayIsForgottenWithItsPassword) {
  options.failures.free = 1'000'000;   // the new password is tried until the file was read
  Start();
  for (const bool removed : {true, false}) {
    fakes::PeerOptions old = As("vm-1", "secret-1");
    old.clean = false;
    old.session_expiry_s = 3600;
    old.will_topic = "sluice/v1/vm-1/status";
    old.will_payload = "offline";
    old.will_delay_s = 1;
    {
      MqttPeer peer;
      ASSERT_TRUE(peer.net.Connect(listener->port()));
      const auto connack = peer.Connect(old);
      ASSERT_TRUE(connack && connack->reason == MqttReason::kSuccess);
      ASSERT_TRUE(peer.Subscribe("sluice/v1/vm-1/ack", 1));
      ASSERT_TRUE(peer.Expect<MqttSuback>());
      ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/status", "online", 0, 0, true));
      ASSERT_TRUE(peer.Ping());
      peer.net.Reset();
    }
    ASSERT_TRUE(Eventually([](const auto& status) { return status.open == 0; }));
    ASSERT_EQ(listener->status().sessions.sessions, 1u);
    ASSERT_EQ(listener->status().sessions.retained, 1u);
    listener->Deliver("vm-1", "sluice/v1/vm-1/ack", "for the old one");
    removed ? Remove("vm-1") : Allow("vm-1", "another");
    ASSERT_TRUE(Eventually([](const auto& status) { return status.sessions.sessions == 0; }));
    EXPECT_EQ(listener->status().sessions.retained, 0u);
    if (removed) Allow("vm-1", "another");
    fakes::PeerOptions next = As("vm-1", "another");
    next.clean = false;
    MqttPeer peer;
    ASSERT_TRUE(Eventually([&](const auto&) {   // once the file was read
      peer = MqttPeer();
      if (!peer.net.Connect(listener->port())) return false;
      const auto connack = peer.Connect(next);
      return connack && connack->reason == MqttReason::kSuccess && !connack->session_present;
    }));
    EXPECT_TRUE(peer.Silent(1200)) << "nothing of the old one's, past its will's delay";
    ASSERT_TRUE(peer.Send(MqttDisconnect{}));
    Allow("vm-1", "secret-1");
    ASSERT_TRUE(Eventually([&](const auto&) { return Try(As("vm-1", "secret-1")) == MqttReason::kSuccess; }));
  }
  for (const auto& message : handler.Await(2)) EXPECT_FALSE(message.will) << message.payload;
}

TEST_F(MqttAdmissionTest, ACertificateIsNotForgottenWithAPassword) {
  UseTls(true);
  Start();
  MqttPeer peer;
  ASSERT_TRUE(peer.net.Connect(listener->port()));
  ASSERT_TRUE(peer.net.StartTls(Tls(Certificate("vm-1"))));
  ASSERT_EQ(ReasonOf(peer.Connect({})), MqttReason::kSuccess);
  MqttPeer other;
  ASSERT_TRUE(other.net.Connect(listener->port()));
  ASSERT_TRUE(other.net.StartTls(Tls()));
  ASSERT_EQ(ReasonOf(other.Connect(As("vm-2", "secret-2"))), MqttReason::kSuccess);
  ASSERT_TRUE(EditPasswordFile(folder / "listener.passwd", [&](const std::string& text) {
                return WithoutPassword(WithoutPassword(text, "vm-1"), "vm-2");
              }).ok());
  EXPECT_TRUE(other.Expect<MqttDisconnect>());
  EXPECT_TRUE(peer.Ping());
}

TEST_F(MqttAdmissionTest, ABrokenPasswordFileKeepsWhatWasKnownAndIsShown) {
  Start();
  Put("listener.passwd", "junk\n");
  ASSERT_TRUE(Eventually([](const auto& status) { return !status.trouble.empty(); }));
  EXPECT_THAT(listener->status().trouble, HasSubstr("line 1"));
  EXPECT_EQ(Try(As("vm-1", "secret-1")), MqttReason::kSuccess);
}

TEST_F(MqttAdmissionTest, BoundsConnectionsInTotalAndByAddress) {
  options.connections.total = 4;
  options.connections.per_address = 3;
  Start();
  std::vector<MqttPeer> peers;
  for (int i = 0; i < 3; ++i) peers.push_back(Peer("vm-1", StrCat("c", i)));
  EXPECT_TRUE(IsTurnedAway());
  EXPECT_EQ(listener->status().refusals.too_many_from_address, 1u);
  MqttPeer elsewhere;
  ASSERT_TRUE(elsewhere.net.Connect(listener->port(), "127.0.0.2"));
  ASSERT_EQ(ReasonOf(elsewhere.Connect(As("vm-2", "secret-2"))), MqttReason::kSuccess);
  EXPECT_TRUE(IsTurnedAway("127.0.0.3"));
  EXPECT_EQ(listener->status().refusals.too_many, 1u);
  peers[0].net.Close();
  ASSERT_TRUE(Eventually([](const auto& status) { return status.open == 3; }));
  Peer("vm-2");
}

TEST_F(MqttAdmissionTest, BoundsConnectionsOfOneDeviceInFavourOfTheNewest) {
  options.sessions.max_sessions_per_device = 2;
  Start();
  MqttPeer oldest = Peer("vm-1", "a"), older = Peer("vm-1", "b"), newest = Peer("vm-1", "c");
  const auto disconnect = oldest.Expect<MqttDisconnect>();
  ASSERT_TRUE(disconnect);
  EXPECT_EQ(disconnect->reason, MqttReason::kQuotaExceeded);
  EXPECT_TRUE(older.Ping());
  EXPECT_TRUE(newest.Ping());
  EXPECT_EQ(listener->status().sessions.connections_evicted, 1u);
  // Taking over an own session is no further connection.
  MqttPeer again = Peer("vm-1", "c");
  EXPECT_TRUE(older.Ping());
}

TEST_F(MqttAdmissionTest, HalfOpenConnectionsAreBoundedAndEnd) {
  options.sessions.connect_timeout_ms = 200;
  options.connections.half_open_per_address = 2;
  Start();
  fakes::NetClient first, second;
  ASSERT_TRUE(first.Connect(listener->port()));
  ASSERT_TRUE(second.Connect(listener->port()));
  ASSERT_TRUE(Eventually([](const auto& status) { return status.half_open == 2; }));
  EXPECT_TRUE(IsTurnedAway());
  EXPECT_EQ(listener->status().refusals.half_open_from_address, 1u);
  EXPECT_TRUE(first.ReceiveToEnd());
  EXPECT_TRUE(second.ReceiveToEnd());
  EXPECT_EQ(listener->status().sessions.connect_timeouts, 2u);
  ASSERT_TRUE(Eventually([](const auto& status) { return status.half_open == 0; }));
  MqttPeer peer = Peer("vm-1");
  EXPECT_EQ(listener->status().half_open, 0u);
}

TEST_F(MqttAdmissionTest, AHandshakeThatDoesNotEndIsEnded) {
  UseTls(false);
  options.handshake_timeout_ms = 200;
  Start();
  fakes::NetClient silent, junk;
  ASSERT_TRUE(silent.Connect(listener->port()));
  EXPECT_TRUE(silent.ReceiveToEnd());
  EXPECT_EQ(listener->status().refusals.handshake_timeout, 1u);
  ASSERT_TRUE(junk.Connect(listener->port()));
  ASSERT_TRUE(junk.Send("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(junk.ReceiveToEnd());
  EXPECT_EQ(listener->status().refusals.handshake_failed, 1u);
}

// Sixteen are the limits of four addresses together: silent, and for a long time.
TEST_F(MqttAdmissionTest, SilentConnectionsMakeRoomForWhoSpeaks) {
  options.connections.half_open = 16;
  options.connections.half_open_per_address = 4;
  Start();
  std::vector<fakes::NetClient> silent(16);
  for (size_t i = 0; i < silent.size(); ++i) {
    ASSERT_TRUE(silent[i].Connect(listener->port(), StrCat("127.0.0.", 2 + i / 4)));
  }
  ASSERT_TRUE(Eventually([](const auto& status) { return status.half_open == 16; }));
  MqttPeer peer = Peer("vm-1");
  EXPECT_TRUE(silent[0].ReceiveToEnd()) << "the oldest of those that hold most";
  EXPECT_TRUE(silent[1].Silent(50));
  EXPECT_TRUE(peer.Ping());
  const auto status = listener->status();
  EXPECT_EQ(status.refusals.half_open_evicted, 1u);
  EXPECT_EQ(status.sessions.connect_timeouts, 0u);
  EXPECT_EQ(status.half_open, 15u);
}

// It connects and closes as fast as it can. Each of its connections would take the turn of somebody else.
TEST_F(MqttAdmissionTest, WhoFloodsFromOneAddressDelaysNoOther) {
  Start();
  std::atomic<bool> done = false;
  std::thread flood([&] {
    while (!done) {
      fakes::NetClient client;
      if (client.Connect(listener->port(), "127.0.0.2")) client.Reset();
    }
  });
  EXPECT_TRUE(Eventually([](const auto& status) { return status.refusals.too_fast_from_address >= 500; }));
  for (int i = 0; i < 10; ++i) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(Try(As("vm-1", "secret-1")), MqttReason::kSuccess);
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2)) << i;
  }
  done = true;
  flood.join();
}

TEST_F(MqttAdmissionTest, WithoutDescriptorsItWaitsAndGoesOn) {
  Start();
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlimit none = limit;
  const int next = dup(client);
  close(next);
  none.rlim_cur = static_cast<rlim_t>(next);   // the lowest that is free is not to be had
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(listener->port()), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  const int connected = connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address);
  const bool counted = Eventually([](const auto& status) { return status.refusals.no_descriptors > 0; });
  setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(connected, 0);
  EXPECT_TRUE(counted);
  MqttPeer peer;
  peer.net.Adopt(client);
  EXPECT_EQ(ReasonOf(peer.Connect(As("vm-1", "secret-1"))), MqttReason::kSuccess);
}

TEST_F(MqttAdmissionTest, NewConnectionsArePaced) {
  options.connections.per_second = 20;
  Start();
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 30; ++i) {
    MqttPeer peer;   // no address takes more than it may
    ASSERT_TRUE(peer.net.Connect(listener->port(), StrCat("127.0.0.", 2 + i % 5)));
    EXPECT_EQ(ReasonOf(peer.Connect(As("vm-1", "secret-1"))), MqttReason::kSuccess);
  }
  // Twenty at once, then one each 50 ms.
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(450));
}

}  // namespace
}  // namespace sluice::transport
