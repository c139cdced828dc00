// Whole services over mTLS: stream → apply → ack → bus, read methods, who may call what.
#include "cloud/service_node.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "cloud/eventbus/outbox_trim.h"
#include "sluice/attendance/v1/attendance.grpc.pb.h"
#include "sluice/bus/v1/bus.grpc.pb.h"
#include "sluice/ingest/v1/dead_letters.grpc.pb.h"
#include "sluice/inventory/v1/inventory.grpc.pb.h"
#include "sluice/shop/v1/shop.grpc.pb.h"
#include "tests/cloud/fixture.h"
#include "tests/cloud/test_gateway.h"

namespace sluice::cloud {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<nlohmann::json> Lines(const std::string& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

class ServiceNodeTest : public ::testing::Test {
 protected:
  ServiceNodeTest() {
    config_.data_dir = folder_.path();
    config_.trust_domain = "sluice.test";
    config_.drain_ms = 2'000;
    const auto own = authority_.IssueService("cloud");
    config_.tls = {folder_.path() + "/cert.pem", folder_.path() + "/key.pem", folder_.path() + "/ca.pem"};
    EXPECT_TRUE(WriteFileAtomically(config_.tls.certificate, own.certificate_pem, 0644).ok());
    EXPECT_TRUE(WriteFileAtomically(config_.tls.private_key, own.private_key_pem, 0600).ok());
    EXPECT_TRUE(WriteFileAtomically(config_.tls.authorities, authority_.certificate_pem(), 0644).ok());
    for (auto& [service, address] : config_.listen) address = "127.0.0.1:0";
  }

  std::unique_ptr<ServiceNode> Start(const std::string& service) {
    auto node = ServiceNode::Start(config_, service, clock_, random_, [](const std::string&) {});
    EXPECT_TRUE(node.ok()) << node.status().ToString();
    return node.ok() ? *std::move(node) : nullptr;
  }
  std::shared_ptr<grpc::Channel> DialAs(const ServiceNode& node, const fakes::TestCertificate& certificate) {
    return Dial(node.address(), authority_, &certificate);
  }
  fakes::TestCertificate IssueUris(std::vector<std::string> uris) {
    return authority_.Issue({.common_name = "test", .uris = std::move(uris)});
  }

  TempFolder folder_;
  fakes::TestAuthority authority_;
  Config config_;
  SystemClock clock_;
  SystemRandom random_;
  const fakes::TestCertificate gateway_ = authority_.IssueGateway("shop-1", "gw");
  const fakes::TestCertificate service_ = authority_.IssueService("erp");
  const fakes::TestCertificate operator_ = IssueUris({"spiffe://sluice.test/operator/ada"});
};

TEST_F(ServiceNodeTest, ShopTakesStatusAndAlarmAndPublishesThem) {
  auto node = Start("shop");
  ASSERT_NE(node, nullptr);
  TestGateway bulk(DialAs(*node, gateway_), "gw"), urgent(DialAs(*node, gateway_), "gw");
  ASSERT_TRUE(bulk.Hello(sync::v1::QUEUE_SHOP_BULK, IdOf(1), "shop-1"));
  sync::v1::ServerFrame frame;
  ASSERT_TRUE(bulk.Read(frame));
  ASSERT_TRUE(frame.has_welcome());
  auto status = NewEvent(1, "fridge", 1);
  status.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
  ASSERT_TRUE(bulk.Send(IdOf(1), 1, {status.SerializeAsString()}));
  EXPECT_TRUE(bulk.AwaitAck(1));
  ASSERT_TRUE(urgent.Hello(sync::v1::QUEUE_SHOP_URGENT, IdOf(1), "shop-1"));
  auto alarm = NewEvent(2, "fridge", 2);
  alarm.mutable_alarm()->set_code("door");
  ASSERT_TRUE(urgent.Send(IdOf(1), 1, {alarm.SerializeAsString()}));
  EXPECT_TRUE(urgent.AwaitAck(1));
  EXPECT_TRUE(bulk.End().ok());
  EXPECT_TRUE(urgent.End().ok());

  auto stub = shop::v1::ShopService::NewStub(DialAs(*node, operator_));
  grpc::ClientContext context;
  shop::v1::ListDevicesResponse devices;
  ASSERT_TRUE(stub->ListDevices(&context, {}, &devices).ok());
  ASSERT_EQ(devices.devices_size(), 1);
  EXPECT_EQ(devices.devices(0).status(), "online");
  EXPECT_EQ(devices.devices(0).gateway_id(), "gw");

  node->Drain();
  const auto lines = Lines(folder_.path() + "/shop-events.jsonl");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["eventType"], "DeviceStatusUpdated");
  EXPECT_EQ(lines[0]["data"]["origin"]["seq"], 1);
  EXPECT_EQ(lines[1]["data"]["dataType"], "alarm");
}

TEST_F(ServiceNodeTest, InventoryBooksSalesAndAnswersStock) {
  auto node = Start("inventory");
  ASSERT_NE(node, nullptr);
  TestGateway gateway(DialAs(*node, gateway_), "gw");
  ASSERT_TRUE(gateway.Hello(sync::v1::QUEUE_INVENTORY, IdOf(1), "shop-1"));
  auto refill = NewEvent(1, "vm", 1);
  refill.mutable_refill()->set_product_id("cola");
  refill.mutable_refill()->set_quantity(10);
  auto sale = NewEvent(2, "vm", 2);
  sale.mutable_sale()->set_product_id("cola");
  sale.mutable_sale()->set_quantity(3);
  ASSERT_TRUE(gateway.Send(IdOf(1), 1, {refill.SerializeAsString(), sale.SerializeAsString()}));
  EXPECT_TRUE(gateway.AwaitAck(2));

  auto stub = inventory::v1::InventoryService::NewStub(DialAs(*node, service_));
  grpc::ClientContext context;
  inventory::v1::GetStockResponse stock;
  ASSERT_TRUE(stub->GetStock(&context, {}, &stock).ok());
  ASSERT_EQ(stock.levels_size(), 1);
  EXPECT_EQ(stock.levels(0).level(), 7);
}

TEST_F(ServiceNodeTest, AttendanceKeepsPunches) {
  auto node = Start("attendance");
  ASSERT_NE(node, nullptr);
  TestGateway gateway(DialAs(*node, gateway_), "gw");
  ASSERT_TRUE(gateway.Hello(sync::v1::QUEUE_ATTENDANCE, IdOf(1), "shop-1"));
  auto punch = NewEvent(1, "door", 1);
  punch.mutable_punch()->set_user("42");
  punch.mutable_punch()->set_direction(event::v1::Punch::DIRECTION_IN);
  ASSERT_TRUE(gateway.Send(IdOf(1), 1, {punch.SerializeAsString()}));
  EXPECT_TRUE(gateway.AwaitAck(1));

  auto stub = attendance::v1::AttendanceService::NewStub(DialAs(*node, operator_));
  grpc::ClientContext context;
  attendance::v1::ListPunchesResponse punches;
  ASSERT_TRUE(stub->ListPunches(&context, {}, &punches).ok());
  ASSERT_EQ(punches.punches_size(), 1);
  EXPECT_EQ(punches.punches(0).kind(), "check_in");
}

TEST_F(ServiceNodeTest, TailGivesWhatIsThereAndThenWhatComes) {
  auto node = Start("shop");
  ASSERT_NE(node, nullptr);
  TestGateway gateway(DialAs(*node, gateway_), "gw");
  ASSERT_TRUE(gateway.Hello(sync::v1::QUEUE_SHOP_BULK, IdOf(1), "shop-1"));
  auto send = [&](uint64_t number) {
    auto event = NewEvent(number, "d", number);
    event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
    ASSERT_TRUE(gateway.Send(IdOf(1), number, {event.SerializeAsString()}));
    ASSERT_TRUE(gateway.AwaitAck(number));
  };
  send(1);
  send(2);
  auto stub = bus::v1::EventBus::NewStub(DialAs(*node, operator_));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  bus::v1::TailRequest request;
  request.set_follow(true);
  request.set_last(1);
  auto reader = stub->Tail(&context, request);
  bus::v1::TailResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(nlohmann::json::parse(response.envelope_json())["data"]["origin"]["seq"], 2);
  const uint64_t second = response.position();
  send(3);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(nlohmann::json::parse(response.envelope_json())["data"]["origin"]["seq"], 3);
  EXPECT_GT(response.position(), second);
  std::thread drain([&] { node->Drain(); });
  EXPECT_FALSE(reader->Read(&response));   // a follower's end, not a hang
  EXPECT_TRUE(reader->Finish().ok());
  drain.join();
}

TEST_F(ServiceNodeTest, ATailLearnsThatWhatItAsksForIsNoLongerHeld) {
  {
    auto node = Start("shop");
    ASSERT_NE(node, nullptr);
    TestGateway gateway(DialAs(*node, gateway_), "gw");
    ASSERT_TRUE(gateway.Hello(sync::v1::QUEUE_SHOP_BULK, IdOf(1), "shop-1"));
    std::vector<std::string> events;
    for (uint64_t i = 1; i <= 5; ++i) {
      auto event = NewEvent(i, "d", i);
      event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
      events.push_back(event.SerializeAsString());
    }
    ASSERT_TRUE(gateway.Send(IdOf(1), 1, events));
    ASSERT_TRUE(gateway.AwaitAck(5));
  }
  {
    auto store = store::Store::Open({.path = folder_.path() + "/shop.db"}, {eventbus::Schema()});
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_OK((*store)->Write([](store::Transaction& transaction) { return eventbus::Trim(transaction, 3, 100).status(); }));
  }
  auto node = Start("shop");
  ASSERT_NE(node, nullptr);
  auto stub = bus::v1::EventBus::NewStub(DialAs(*node, operator_));
  const auto tail = [&](uint64_t position, uint32_t last, grpc::StatusCode expected) {
    grpc::ClientContext context;
    bus::v1::TailRequest request;
    request.set_position(position);
    request.set_last(last);
    auto reader = stub->Tail(&context, request);
    std::vector<uint64_t> positions;
    for (bus::v1::TailResponse response; reader->Read(&response);) positions.push_back(response.position());
    const grpc::Status status = reader->Finish();
    EXPECT_EQ(status.error_code(), expected) << position;
    if (!status.ok()) {
      EXPECT_THAT(status.error_message(), HasSubstr("up to position 3"));
    }
    return positions;
  };
  EXPECT_THAT(tail(0, 0, grpc::StatusCode::OK), ElementsAre(4, 5)) << "from the beginning of what is held";
  EXPECT_THAT(tail(0, 10, grpc::StatusCode::OK), ElementsAre(4, 5));
  EXPECT_THAT(tail(2, 0, grpc::StatusCode::OUT_OF_RANGE), ElementsAre());
  EXPECT_THAT(tail(3, 0, grpc::StatusCode::OK), ElementsAre(4, 5)) << "nothing between";
  EXPECT_THAT(tail(4, 0, grpc::StatusCode::OK), ElementsAre(5));
}

TEST_F(ServiceNodeTest, GatewaysSyncOthersReadAndOperatorsAloneHandleDeadLetters) {
  auto node = Start("shop");
  ASSERT_NE(node, nullptr);
  struct Case {
    std::string name;
    fakes::TestCertificate certificate;
    grpc::StatusCode sync, read, operate;
  };
  const std::vector<Case> cases = {
      {"gateway", gateway_, grpc::StatusCode::OK, grpc::StatusCode::PERMISSION_DENIED,
       grpc::StatusCode::PERMISSION_DENIED},
      {"service", service_, grpc::StatusCode::PERMISSION_DENIED, grpc::StatusCode::OK,
       grpc::StatusCode::PERMISSION_DENIED},
      {"operator", operator_, grpc::StatusCode::PERMISSION_DENIED, grpc::StatusCode::OK, grpc::StatusCode::NOT_FOUND},
      {"no URI", IssueUris({}), grpc::StatusCode::UNAUTHENTICATED, grpc::StatusCode::UNAUTHENTICATED,
       grpc::StatusCode::UNAUTHENTICATED},
      {"two URIs", IssueUris({"spiffe://sluice.test/operator/ada", "spiffe://sluice.test/shop/shop-1/gateway/gw"}),
       grpc::StatusCode::UNAUTHENTICATED, grpc::StatusCode::UNAUTHENTICATED,
       grpc::StatusCode::UNAUTHENTICATED},
      {"other domain", IssueUris({"spiffe://evil.test/operator/ada"}), grpc::StatusCode::UNAUTHENTICATED,
       grpc::StatusCode::UNAUTHENTICATED,
       grpc::StatusCode::UNAUTHENTICATED},
      {"other role", IssueUris({"spiffe://sluice.test/root/ada"}), grpc::StatusCode::UNAUTHENTICATED,
       grpc::StatusCode::UNAUTHENTICATED,
       grpc::StatusCode::UNAUTHENTICATED},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto channel = DialAs(*node, c.certificate);
    TestGateway gateway(channel, "gw");
    gateway.Hello(sync::v1::QUEUE_SHOP_BULK, IdOf(1), "shop-1");
    EXPECT_EQ(gateway.End().error_code(), c.sync);
    grpc::ClientContext list_context, tail_context;
    shop::v1::ListDevicesResponse devices;
    EXPECT_EQ(shop::v1::ShopService::NewStub(channel)->ListDevices(&list_context, {}, &devices).error_code(), c.read);
    auto tail = bus::v1::EventBus::NewStub(channel)->Tail(&tail_context, {});
    bus::v1::TailResponse response;
    while (tail->Read(&response)) {
    }
    EXPECT_EQ(tail->Finish().error_code(), c.read);
    const auto letters = ingest::v1::DeadLetters::NewStub(channel);
    const std::string id = "gw/shop-bulk/" + IdOf(1).ToHex() + "/1";
    grpc::ClientContext contexts[4];
    ingest::v1::ListDeadLettersResponse listed;
    // An operator's list is empty, and the letter is none; nobody else gets so far.
    EXPECT_EQ(letters->ListDeadLetters(&contexts[0], {}, &listed).error_code(),
              c.operate == grpc::StatusCode::NOT_FOUND ? grpc::StatusCode::OK : c.operate);
    ingest::v1::GetDeadLetterRequest get;
    get.set_id(id);
    ingest::v1::GetDeadLetterResponse got;
    EXPECT_EQ(letters->GetDeadLetter(&contexts[1], get, &got).error_code(), c.operate);
    ingest::v1::RequeueDeadLetterRequest requeue;
    requeue.set_id(id);
    ingest::v1::RequeueDeadLetterResponse requeued;
    EXPECT_EQ(letters->RequeueDeadLetter(&contexts[2], requeue, &requeued).error_code(), c.operate);
    ingest::v1::DropDeadLetterRequest drop;
    drop.set_id(id);
    drop.set_reason("test");
    ingest::v1::DropDeadLetterResponse dropped;
    EXPECT_EQ(letters->DropDeadLetter(&contexts[3], drop, &dropped).error_code(), c.operate);
  }
}

TEST_F(ServiceNodeTest, AnOperatorRequeuesWhatCouldNotBeAccepted) {
  auto node = Start("attendance");
  ASSERT_NE(node, nullptr);
  TestGateway gateway(DialAs(*node, gateway_), "gw");
  // Of a shop that no certificate of the gateway has named yet.
  ASSERT_TRUE(gateway.Hello(sync::v1::QUEUE_ATTENDANCE, IdOf(1), "shop-2"));
  auto punch = NewEvent(1, "door", 1);
  punch.mutable_punch()->set_user("42");
  ASSERT_TRUE(gateway.Send(IdOf(1), 1, {punch.SerializeAsString()}));
  sync::v1::Ack ack;
  ASSERT_TRUE(gateway.AwaitAck(1, &ack));
  ASSERT_EQ(ack.dead_letters_size(), 1);
  EXPECT_TRUE(gateway.End().ok());

  const auto letters = ingest::v1::DeadLetters::NewStub(DialAs(*node, operator_));
  grpc::ClientContext contexts[3];
  ingest::v1::ListDeadLettersResponse listed;
  ASSERT_TRUE(letters->ListDeadLetters(&contexts[0], {}, &listed).ok());
  ASSERT_EQ(listed.dead_letters_size(), 1);
  ingest::v1::RequeueDeadLetterRequest request;
  request.set_id(listed.dead_letters(0).id());
  ingest::v1::RequeueDeadLetterResponse response;
  ASSERT_TRUE(letters->RequeueDeadLetter(&contexts[1], request, &response).ok());
  EXPECT_EQ(response.outcome(), "refused");
  EXPECT_EQ(response.reason(), "shop_unknown");

  TestGateway moved(DialAs(*node, authority_.IssueGateway("shop-2", "gw")), "gw");
  ASSERT_TRUE(moved.Hello(sync::v1::QUEUE_ATTENDANCE, IdOf(1), "shop-2"));
  sync::v1::ServerFrame frame;
  ASSERT_TRUE(moved.Read(frame));
  ASSERT_TRUE(letters->RequeueDeadLetter(&contexts[2], request, &response).ok());
  EXPECT_EQ(response.outcome(), "applied");
  node->Drain();
  const auto lines = Lines(folder_.path() + "/attendance-events.jsonl");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["data"]["shopId"], "shop-2");
}

TEST_F(ServiceNodeTest, HelloInAnotherGatewaysNameIsRefused) {
  auto node = Start("shop");
  TestGateway gateway(DialAs(*node, gateway_), "somebody-else");
  gateway.Hello(sync::v1::QUEUE_SHOP_BULK, IdOf(1), "shop-1");
  EXPECT_EQ(gateway.End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(ServiceNodeTest, NoOrForeignCertificateEndsInTheHandshake) {
  auto node = Start("shop");
  const fakes::TestAuthority stranger("stranger");
  const auto foreign = stranger.IssueGateway("shop-1", "gw");
  for (const fakes::TestCertificate* certificate : {static_cast<const fakes::TestCertificate*>(nullptr), &foreign}) {
    auto channel = Dial(node->address(), authority_, certificate);
    grpc::ClientContext context;
    shop::v1::ListDevicesResponse devices;
    EXPECT_EQ(shop::v1::ShopService::NewStub(channel)->ListDevices(&context, {}, &devices).error_code(),
              grpc::StatusCode::UNAVAILABLE);
  }
}

TEST_F(ServiceNodeTest, AKeyThatOthersMayReadIsRefused) {
  chmod(config_.tls.private_key.c_str(), 0640);
  auto node = ServiceNode::Start(config_, "shop", clock_, random_, [](const std::string&) {});
  ASSERT_FALSE(node.ok());
  EXPECT_THAT(std::string(MessageOf(node.status())), HasSubstr("chmod 600"));
}

TEST_F(ServiceNodeTest, FilesThatNoHandshakeCouldUseAreRefused) {
  const Config good = config_;
  const std::string garbage = folder_.path() + "/garbage.pem", other = folder_.path() + "/other.pem";
  ASSERT_TRUE(WriteFileAtomically(garbage, "-----BEGIN CERTIFICATE-----\nnone\n", 0600).ok());
  ASSERT_TRUE(WriteFileAtomically(other, gateway_.private_key_pem, 0600).ok());
  const std::vector<std::pair<std::string serving::TlsFiles::*, std::string>> faults = {
      {&serving::TlsFiles::certificate, garbage},
      {&serving::TlsFiles::private_key, garbage},
      {&serving::TlsFiles::authorities, garbage},
      {&serving::TlsFiles::private_key, other},
  };
  for (const auto& [file, path] : faults) {
    config_ = good;
    config_.tls.*file = path;
    EXPECT_THAT(std::string(MessageOf(Check(config_))), HasSubstr(path));
    EXPECT_FALSE(ServiceNode::Start(config_, "shop", clock_, random_, [](const std::string&) {}).ok());
  }
  EXPECT_OK(Check(good));
}

TEST_F(ServiceNodeTest, ARestartKeepsCursorsAndTheFile) {
  auto event = NewEvent(1, "d", 1);
  event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
  for (int round = 0; round < 2; ++round) {
    auto node = Start("shop");
    ASSERT_NE(node, nullptr);
    TestGateway gateway(DialAs(*node, gateway_), "gw");
    ASSERT_TRUE(gateway.Hello(sync::v1::QUEUE_SHOP_BULK, IdOf(1), "shop-1"));
    sync::v1::ServerFrame frame;
    ASSERT_TRUE(gateway.Read(frame));
    EXPECT_EQ(frame.welcome().cursors(0).cursor(), round == 0 ? 0u : 1u);
    ASSERT_TRUE(gateway.Send(IdOf(1), 1, {event.SerializeAsString()}));
    EXPECT_TRUE(gateway.AwaitAck(1));
    EXPECT_TRUE(gateway.End().ok());
  }
  EXPECT_EQ(Lines(folder_.path() + "/shop-events.jsonl").size(), 1u);
}

TEST_F(ServiceNodeTest, StreamsAreToldGoodbyeWhenTheServiceEnds) {
  auto node = Start("shop");
  TestGateway gateway(DialAs(*node, gateway_), "gw");
  ASSERT_TRUE(gateway.Hello(sync::v1::QUEUE_SHOP_BULK, IdOf(1), "shop-1"));
  sync::v1::ServerFrame frame;
  ASSERT_TRUE(gateway.Read(frame));
  std::thread drain([&] { node->Drain(); });
  ASSERT_TRUE(gateway.Read(frame));
  EXPECT_TRUE(frame.has_goodbye());
  EXPECT_GT(frame.goodbye().retry_after_ms(), 0);
  EXPECT_EQ(gateway.End().error_code(), grpc::StatusCode::UNAVAILABLE);
  drain.join();
}

TEST_F(ServiceNodeTest, OnlyAHalfCloseReleasesTheLease) {
  const auto released = [&] {
    int64_t rows = -1;
    static constexpr store::Sql kReleased{"SELECT count(*) FROM leases WHERE token = ''", "", "i"};
    EXPECT_OK(store::Store::ReadOnce(folder_.path() + "/shop.db", [&](store::Transaction& transaction) -> absl::Status {
      ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kReleased));
      rows = row->Int(0);
      return absl::OkStatus();
    }));
    return rows;
  };
  for (const bool killed : {true, false}) {
    auto node = Start("shop");
    ASSERT_NE(node, nullptr);
    constexpr int kGateways = 20;
    for (int i = 0; i < kGateways; ++i) {
      const std::string name = StrCat("gw-", i);
      auto channel = DialAs(*node, authority_.IssueGateway("shop-1", name));
      TestGateway gateway(channel, name);
      ASSERT_TRUE(gateway.Hello(sync::v1::QUEUE_SHOP_BULK, IdOf(1), "shop-1"));
      sync::v1::ServerFrame frame;
      ASSERT_TRUE(gateway.Read(frame));
      if (killed) gateway.Cancel();
      EXPECT_EQ(gateway.End().error_code(), killed ? grpc::StatusCode::CANCELLED : grpc::StatusCode::OK);
      // On the same connection: when it is answered, the service has heard of the end.
      grpc::ClientContext context;
      shop::v1::ListDevicesResponse devices;
      shop::v1::ShopService::NewStub(channel)->ListDevices(&context, {}, &devices);
    }
    node->Drain();
    EXPECT_EQ(released(), killed ? 0 : kGateways);
  }
}

TEST_F(ServiceNodeTest, TwoProcessesNeverShareAStore) {
  auto node = Start("shop");
  auto second = ServiceNode::Start(config_, "shop", clock_, random_, [](const std::string&) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace sluice::cloud
