// `sluicectl cloud …` as a process against services behind mutual TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/gateway/ctl/fake_cloud.h"
#include "tests/gateway/ctl/run_program.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class SluicectlCloudTest : public testing::Test {
 protected:
  SluicectlCloudTest() : cloud_(std::make_unique<FakeCloud>(authority_)) {
    std::string pattern = testing::TempDir() + "cloudXXXXXX";
    folder_ = mkdtemp(pattern.data());
    fakes::CertificateRequest request;
    request.uris = {"spiffe://sluice.test/operator/anna"};
    const auto certificate = authority_.Issue(request);
    Write("ca.pem", authority_.certificate_pem());
    Write("operator.pem", certificate.certificate_pem);
    Write("operator.key", certificate.private_key_pem);
    Write("run.json", json{{"cloud",
                            {{"shop", cloud_->address()},
                             {"inventory", cloud_->address()},
                             {"attendance", cloud_->address()},
                             {"ca", folder_ + "/ca.pem"},
                             {"operator_cert", folder_ + "/operator.pem"},
                             {"operator_key", folder_ + "/operator.key"}}}}
                          .dump());
  }
  ~SluicectlCloudTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& content) { std::ofstream(folder_ + "/" + name) << content; }

  std::vector<std::string> Command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"sluicectl", "cloud", "--run-json", folder_ + "/run.json"});
    return arguments;
  }
  ProgramResult Run(std::vector<std::string> arguments) const {
    return RunProgram(Command(std::move(arguments)), {"TZ=UTC", "https_proxy=http://127.0.0.1:9", "http_proxy=http://127.0.0.1:9"});
  }

  static std::string LetterId(int number) {
    return "gw-1/inventory/11000000000000000000000000000001/" + std::to_string(number);
  }

  fakes::TestAuthority authority_;
  std::unique_ptr<FakeCloud> cloud_;
  std::string folder_;
};

TEST_F(SluicectlCloudTest, ListsDevicesOfAllPages) {
  for (int i = 1; i <= 5; ++i) {
    shop::v1::Device device;
    device.set_device_id("vm-000" + std::to_string(i));
    device.set_shop_id("shop-1");
    device.set_gateway_id("gw-1");
    device.set_status("online");
    device.set_last_seen_ms(1'700'000'000'000);
    device.set_status_text("door \x1b[5mopen");
    cloud_->devices.push_back(device);
  }
  const auto text = Run({"devices"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("vm-0001"), HasSubstr("vm-0005"), HasSubstr("2023-11-14T22:13:20.000+00:00"),
                              HasSubstr("door \\x1b[5mopen"), Not(HasSubstr("\x1b"))));
  const auto parsed = json::parse(Run({"devices", "--json"}).out);
  EXPECT_EQ(parsed["devices"].size(), 5u);
  EXPECT_EQ(parsed["devices"][4]["last_seen_ms"], 1'700'000'000'000);
  EXPECT_EQ(json::parse(Run({"devices", "--json", "--limit", "3"}).out)["devices"].size(), 3u);
}

TEST_F(SluicectlCloudTest, ShowsStockAndPunchesFiltered) {
  for (const char* product : {"cola", "water", "mate"}) {
    inventory::v1::StockLevel level;
    level.set_shop_id("shop-1");
    level.set_product_id(product);
    level.set_level(-3);
    cloud_->levels.push_back(level);
    attendance::v1::Punch punch;
    punch.set_employee_id(product);   // any name will do
    punch.set_kind("check_in");
    punch.set_time_ms(1'700'000'000'000);
    punch.set_verified_by("card");
    cloud_->punches.push_back(punch);
  }
  EXPECT_THAT(Run({"stock"}).out, AllOf(HasSubstr("cola"), HasSubstr("mate"), HasSubstr("-3")));
  EXPECT_EQ(json::parse(Run({"stock", "--product", "water", "--json"}).out)["levels"].size(), 1u);
  EXPECT_THAT(Run({"punches"}).out, AllOf(HasSubstr("check_in"), HasSubstr("card")));
  EXPECT_EQ(json::parse(Run({"punches", "--employee", "mate", "--json"}).out)["punches"][0]["employee_id"], "mate");
}

TEST_F(SluicectlCloudTest, ShowsEventsInOrderOfTime) {
  cloud_->Publish(R"({"eventType":"StockUpdated","source":"inventory-service","timestamp":1700000002.5,"data":{"n":2}})");
  cloud_->Publish(R"({"eventType":"StockUpdated","source":"inventory-service","timestamp":1700000001,"data":{"n":1}})");
  const auto text = Run({"events", "--from", "inventory"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_EQ(text.out,
            "2023-11-14T22:13:21.000+00:00  StockUpdated  inventory-service  {\"n\":1}\n"
            "2023-11-14T22:13:22.500+00:00  StockUpdated  inventory-service  {\"n\":2}\n");
  std::istringstream lines(Run({"events", "--json"}).out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_EQ(json::parse(line)["envelope"]["eventType"], "StockUpdated");
  }
  EXPECT_EQ(count, 6) << "two of each of three services";
}

TEST_F(SluicectlCloudTest, FollowsAServiceThroughItsRestart) {
  cloud_->Publish(R"({"eventType":"A"})");
  Program events(Command({"events", "--from", "shop", "--follow", "--json"}));
  std::string line;
  ASSERT_TRUE(events.ReadLine(line));
  EXPECT_EQ(json::parse(line)["envelope"]["eventType"], "A");
  cloud_->Publish(R"({"eventType":"B"})");
  ASSERT_TRUE(events.ReadLine(line));
  EXPECT_EQ(json::parse(line)["position"], 2);

  const int port = cloud_->port();
  cloud_.reset();
  cloud_ = std::make_unique<FakeCloud>(authority_, port);
  for (const char* envelope : {R"({"eventType":"A"})", R"({"eventType":"B"})", R"({"eventType":"C"})"}) {
    cloud_->Publish(envelope);
  }
  ASSERT_TRUE(events.ReadLine(line));
  EXPECT_EQ(json::parse(line)["envelope"]["eventType"], "C") << "taken up where it was";
  events.Signal(SIGTERM);
  EXPECT_EQ(events.Wait().exit_code, -SIGTERM);
}

TEST_F(SluicectlCloudTest, ListsAndShowsDeadLetters) {
  for (int i = 3; i >= 1; --i) {
    ingest::v1::GetDeadLetterResponse letter;
    auto& row = *letter.mutable_dead_letter();
    row.set_id(LetterId(i));
    row.set_gateway_id(i == 3 ? "gw-2" : "gw-1");
    row.set_kind("sale");
    row.set_reason("conflict \x1b[5m");
    row.set_at_ms(1'700'000'000'000 + i);
    row.set_size(3);
    letter.set_record("\xff\x01\x02");
    if (i == 1) letter.set_event_json(R"({"sale":{"product_id":"cola"}})");
    cloud_->letters.push_back(letter);
  }
  const auto text = Run({"dead-letters", "list", "--service", "inventory"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("conflict \\x1b[5m"), Not(HasSubstr("\x1b"))));
  EXPECT_LT(text.out.find(LetterId(1)), text.out.find(LetterId(2))) << "oldest first";
  const auto listed = json::parse(Run({"dead-letters", "list", "--json"}).out)["dead_letters"];
  EXPECT_EQ(listed.size(), 9u) << "three of each of three services";
  EXPECT_EQ(listed[0]["at_ms"], 1'700'000'000'001);
  EXPECT_EQ(json::parse(Run({"dead-letters", "list", "--gateway", "gw-2", "--limit", "2", "--json"}).out)["dead_letters"].size(), 2u);

  EXPECT_THAT(Run({"dead-letters", "show", LetterId(1)}).out, AllOf(HasSubstr("cola"), HasSubstr("conflict")));
  EXPECT_THAT(Run({"dead-letters", "show", LetterId(2)}).out, HasSubstr("does not decode"));
  const auto shown = json::parse(Run({"dead-letters", "show", LetterId(1), "--json"}).out);
  EXPECT_EQ(shown["event"]["sale"]["product_id"], "cola");
  EXPECT_EQ(shown["record_base64"], "/wEC");
  EXPECT_EQ(shown["dead_letter"]["reason"], "conflict \x1b[5m");
  EXPECT_TRUE(json::parse(Run({"dead-letters", "show", LetterId(2), "--json"}).out)["event"].is_null());

  EXPECT_EQ(Run({"dead-letters", "show", LetterId(9)}).exit_code, 1);
  const auto wrong = Run({"dead-letters", "show", "17"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("<gateway>/<queue>/<epoch>/<number>"));
}

TEST_F(SluicectlCloudTest, RequeuesAndDropsDeadLetters) {
  cloud_->outcome.set_outcome("applied");
  EXPECT_EQ(Run({"dead-letters", "requeue", LetterId(1)}).exit_code, 0);
  cloud_->outcome.set_outcome("refused");
  cloud_->outcome.set_reason("shop_unknown");
  const auto refused = Run({"dead-letters", "requeue", LetterId(1)});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.out, HasSubstr("shop_unknown"));
  const auto as_json = Run({"dead-letters", "requeue", LetterId(1), "--json"});
  EXPECT_EQ(as_json.exit_code, 1);
  EXPECT_EQ(json::parse(as_json.out)["outcome"], "refused");

  EXPECT_EQ(Run({"dead-letters", "drop", LetterId(1)}).exit_code, 2) << "without a reason";
  EXPECT_TRUE(cloud_->dropped.empty());
  EXPECT_EQ(Run({"dead-letters", "drop", LetterId(1), "--reason", "a demo machine"}).exit_code, 0);
  EXPECT_EQ(cloud_->dropped, std::vector<std::string>{LetterId(1) + ": a demo machine"});
  EXPECT_EQ(json::parse(Run({"dead-letters", "drop", LetterId(2), "--reason", "x", "--json"}).out)["dropped"], LetterId(2));
}

TEST_F(SluicectlCloudTest, AServiceThatIsDownDoesNotHideTheOthersDeadLetters) {
  ingest::v1::GetDeadLetterResponse letter;
  letter.mutable_dead_letter()->set_id(LetterId(1));
  cloud_->letters.push_back(letter);
  auto arguments = Command({"dead-letters", "list", "--json"});
  arguments.insert(arguments.begin() + 2, {"--attendance", "127.0.0.1:1"});
  const auto result = RunProgram(arguments);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("attendance at 127.0.0.1:1"));
  EXPECT_EQ(json::parse(result.out)["dead_letters"].size(), 2u);
}

TEST_F(SluicectlCloudTest, SaysWhatIsWrong) {
  const auto forbidden = Run({"devices", "--shop-id", "forbidden"});
  EXPECT_EQ(forbidden.exit_code, 1);
  EXPECT_THAT(forbidden.err, AllOf(HasSubstr("refuses us"), HasSubstr("not your shop")));

  const auto nothing = RunProgram({"sluicectl", "cloud", "stock"});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_THAT(nothing.err, HasSubstr("--inventory HOST:PORT is missing"));

  const auto missing = RunProgram({"sluicectl", "cloud", "stock", "--run-json", folder_ + "/nothing.json"});
  EXPECT_EQ(missing.exit_code, 2);
  Write("broken.json", "{\"cloud\": 3}");
  EXPECT_EQ(RunProgram({"sluicectl", "cloud", "stock", "--run-json", folder_ + "/broken.json"}).exit_code, 2);

  cloud_.reset();
  for (const char* what : {"devices", "stock", "punches", "events"}) {
    const auto gone = Run({what});
    EXPECT_EQ(gone.exit_code, 3) << what;
    EXPECT_THAT(gone.err, HasSubstr("cannot reach")) << what;
  }
}

TEST_F(SluicectlCloudTest, AForeignAuthorityIsNotBelieved) {
  const fakes::TestAuthority foreign("somebody else");
  Write("ca.pem", foreign.certificate_pem());
  const auto result = Run({"devices"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("certificate"));
}

}  // namespace
}  // namespace sluice::ctl
