#include "gateway/daemon/content_check.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/strings.h"
#include "tests/fakes/temp_folder.h"
#include "tests/fakes/test_certificates.h"

namespace sluice::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A configuration of which every file is good.
class ContentCheckTest : public testing::Test {
 protected:
  ContentCheckTest() {
    const fakes::TestCertificate own = authority_.IssueGateway("shop-1", "gw-1");
    const fakes::TestCertificate server = authority_.IssueService("listener");
    config_.identity.certificate = Write("gateway.pem", own.certificate_pem);
    config_.identity.private_key = Write("gateway.key", own.private_key_pem);
    config_.identity.trust = Write("ca.pem", authority_.certificate_pem());
    config::Mqtt mqtt;
    mqtt.url = "mqtts://broker:8883";
    mqtt.ca_file = Write("broker-ca.pem", authority_.certificate_pem());
    mqtt.certificate_file = Write("client.pem", server.certificate_pem);
    mqtt.key_file = Write("client.key", server.private_key_pem);
    mqtt.username = "gw";
    mqtt.password_file = Write("broker.password", "secret\n");
    config_.mqtt = {mqtt};
    config::Listener listener;
    listener.bind = "127.0.0.1:8884";
    listener.certificate_file = Write("listener.pem", server.certificate_pem);
    listener.key_file = Write("listener.key", server.private_key_pem);
    listener.client_ca_file = Write("devices-ca.pem", authority_.certificate_pem());
    listener.password_file = Write("listener.passwd", "# nobody yet\n");
    config_.listener = {listener};
    config::Serial serial;
    serial.name = "scale";
    serial.port = "/dev/null";
    serial.device_id = "scale-1";
    std::ifstream profile(StrCat(std::getenv("SLUICE_SOURCE"), "/devices/lines/profiles/scale-cas.toml"));
    serial.profile = Write("scale.toml", std::string(std::istreambuf_iterator<char>(profile), {}));
    config_.serial = {serial};
  }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    chmod((folder_ / name).c_str(), 0600);
    return folder_ / name;
  }
  // What is wrong when `name` holds `text`; the file is good again afterwards.
  std::string With(const std::string& name, const std::string& text) {
    std::filesystem::rename(folder_ / name, folder_ / "good");
    Write(name, text);
    const std::string complaint = Complaint();
    std::filesystem::rename(folder_ / "good", folder_ / name);
    return complaint;
  }
  std::string Complaint() const {
    const absl::Status status = CheckContents(config_, clock_);
    return status.ok() ? "" : std::string(MessageOf(status));
  }

  fakes::TempFolder folder_;
  fakes::TestAuthority authority_;
  SystemClock clock_;
  config::Config config_;
};

TEST_F(ContentCheckTest, GoodFilesAreGood) { EXPECT_EQ(Complaint(), ""); }

TEST_F(ContentCheckTest, NamesKeyAndFileOfWhatCannotBeRead) {
  const struct {
    const char *file, *key;
  } cases[] = {{"gateway.pem", "identity: "},        {"gateway.key", "identity: "},
               {"ca.pem", "identity: "},             {"broker-ca.pem", "mqtt[0].ca_file: "},
               {"client.pem", "mqtt[0]: "},          {"client.key", "mqtt[0]: "},
               {"listener.pem", "listener[0]: "},    {"listener.key", "listener[0]: "},
               {"devices-ca.pem", "listener[0]: "},  {"listener.passwd", "listener[0].password_file: "},
               {"scale.toml", "serial[0]: "}};
  for (const auto& one : cases) {
    EXPECT_THAT(With(one.file, "junk\n"), AllOf(HasSubstr(one.key), HasSubstr(folder_ / one.file))) << one.file;
  }
  EXPECT_THAT(With("broker.password", "\n"), AllOf(HasSubstr("mqtt[0].password_file: "), HasSubstr("holds no password")));
}

TEST_F(ContentCheckTest, NamesWhatDoesNotFitTogether) {
  const fakes::TestCertificate other = authority_.IssueGateway("shop-1", "gw-2");
  EXPECT_THAT(With("gateway.key", other.private_key_pem), HasSubstr("is not the key of certificate"));
  EXPECT_THAT(With("client.key", other.private_key_pem), HasSubstr("is not the key of certificate"));
  EXPECT_THAT(With("listener.key", other.private_key_pem), HasSubstr("is not the key of certificate"));
  EXPECT_THAT(With("gateway.pem", authority_.Issue({}).certificate_pem),
              AllOf(HasSubstr(folder_ / "gateway.pem"), HasSubstr("no subject alternative name")));
  config_.serial[0].device_id = "";
  EXPECT_THAT(Complaint(), AllOf(HasSubstr("serial[0]: "), HasSubstr("device: missing")));
}

TEST_F(ContentCheckTest, NamesAllOfThem) {
  Write("gateway.pem", "junk");
  Write("scale.toml", "junk");
  EXPECT_THAT(Complaint(), AllOf(HasSubstr("identity: "), HasSubstr("\nserial[0]: ")));
}

}  // namespace
}  // namespace sluice::daemon
