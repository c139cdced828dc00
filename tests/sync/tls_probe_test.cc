#include "sync/tls_probe.h"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <chrono>

#include "base/unique_fd.h"
#include "sync/certificate_check.h"
#include "tests/sync/grpc_server.h"
#include "tests/sync/model_store.h"

namespace sluice::sync {
namespace {

using Kind = TlsVerdict::Kind;
using ::testing::HasSubstr;

class TlsProbeTest : public testing::Test {
 protected:
  TlsProbeTest() {
    signal(SIGPIPE, SIG_IGN);
    server_ = GrpcServer::Start({}, authority_, store_, clock_);
  }

  TlsProbe With(const fakes::TestCertificate& own, const fakes::TestAuthority& believed) {
    TlsProbe probe;
    probe.address = server_->address();
    probe.credentials.certificate_pem = own.certificate_pem;
    probe.credentials.private_key_pem = own.private_key_pem;
    probe.credentials.authorities_pem = believed.certificate_pem();
    probe.now_ms = clock_.WallMs();
    return probe;
  }
  TlsProbe Good() { return With(authority_.IssueGateway("s1", "g1"), authority_); }

  SystemClock clock_;
  SystemRandom random_;
  fakes::TestAuthority authority_, other_{"other"};
  ModelStore store_{random_};
  std::unique_ptr<GrpcServer> server_;
  UniqueFd cancel_{eventfd(0, EFD_CLOEXEC)};
};

TEST_F(TlsProbeTest, FindsNothingWhereBothBelieveEachOther) {
  TlsProbe probe = Good();
  EXPECT_EQ(ProbeTls(probe, cancel_.get()).kind, Kind::kNothing);
  probe.address = "dns:///" + probe.address;
  probe.server_name = "localhost";
  EXPECT_EQ(ProbeTls(probe, cancel_.get()).kind, Kind::kNothing);
}

TEST_F(TlsProbeTest, TellsWhoseCertificateItFailsOver) {
  const TlsVerdict ours = ProbeTls(With(other_.IssueGateway("s1", "g1"), authority_), cancel_.get());
  EXPECT_EQ(ours.kind, Kind::kOursRefused);
  EXPECT_THAT(ours.text, HasSubstr("the cloud does not accept our certificate ("));
  EXPECT_THAT(ours.text, HasSubstr("by our own trust file: unable to get local issuer certificate"));
  const TlsVerdict theirs = ProbeTls(With(authority_.IssueGateway("s1", "g1"), other_), cancel_.get());
  EXPECT_EQ(theirs.kind, Kind::kTheirsNotBelieved);
  EXPECT_THAT(theirs.text, HasSubstr("the cloud's certificate does not verify: "));
  TlsProbe elsewhere = Good();
  elsewhere.server_name = "bank.example";
  EXPECT_EQ(ProbeTls(elsewhere, cancel_.get()).kind, Kind::kTheirsNotBelieved);
}

TEST_F(TlsProbeTest, BlamesNobodyWhereNobodyAnswers) {
  TlsProbe probe = Good();
  server_.reset();
  EXPECT_EQ(ProbeTls(probe, cancel_.get()).kind, Kind::kNothing);
  for (const char* address : {"unix:/run/cloud", "nonsense", "ipv4:1.2.3.4/x:1", "host.invalid:1"}) {
    probe.address = address;
    EXPECT_EQ(ProbeTls(probe, cancel_.get()).kind, Kind::kNothing) << address;
  }
}

TEST_F(TlsProbeTest, ASilentServerCostsTheTimeoutAndNothingOnceCancelled) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 5), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  TlsProbe probe = Good();
  probe.address = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  probe.timeout_ms = 50;
  EXPECT_EQ(ProbeTls(probe, cancel_.get()).kind, Kind::kNothing);
  probe.timeout_ms = 60'000;
  ASSERT_EQ(eventfd_write(cancel_.get(), 1), 0);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ProbeTls(probe, cancel_.get()).kind, Kind::kNothing);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(TlsProbeTest, DoubtsAreOpenSslsWordsByTheGivenClock) {
  const fakes::TestCertificate own = authority_.IssueGateway("s1", "g1");
  const int64_t now = clock_.WallMs();
  EXPECT_EQ(DoubtAbout(own.certificate_pem, authority_.certificate_pem(), now), "");
  EXPECT_EQ(DoubtAbout(own.certificate_pem, other_.certificate_pem() + authority_.certificate_pem(), now), "");
  EXPECT_EQ(DoubtAbout(own.certificate_pem, other_.certificate_pem(), now), "unable to get local issuer certificate");
  EXPECT_EQ(DoubtAbout(own.certificate_pem, "junk", now), "unable to get local issuer certificate");
  EXPECT_EQ(DoubtAbout("junk", authority_.certificate_pem(), now), "no PEM certificate");
  EXPECT_THAT(DoubtAbout(own.certificate_pem, authority_.certificate_pem(), 5'000), HasSubstr("not yet valid"));
  EXPECT_THAT(DoubtAbout(own.certificate_pem, authority_.certificate_pem(), now + 3'650LL * 86'400'000), HasSubstr("expired"));
}

}  // namespace
}  // namespace sluice::sync
