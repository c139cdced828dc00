#include "gateway/control/control_server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "base/unique_fd.h"
#include "sluice/control/v1/control.grpc.pb.h"
#include "tests/gateway/control/fake_control_source.h"

namespace sluice::control {
namespace {

using std::chrono::steady_clock;

class ControlServerTest : public testing::Test {
 protected:
  ControlServerTest() {
    std::string pattern = testing::TempDir() + "controlXXXXXX";
    folder_ = mkdtemp(pattern.data());
    options_.socket_path = folder_ + "/control.sock";
    options_.stop_grace = std::chrono::milliseconds(500);
  }
  ~ControlServerTest() override { std::filesystem::remove_all(folder_); }

  void Start() {
    auto server = ControlServer::Start(options_, source_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = NewStub();
  }
  std::unique_ptr<v1::Control::Stub> NewStub() {
    return v1::Control::NewStub(
        grpc::CreateChannel("unix:" + options_.socket_path, grpc::InsecureChannelCredentials()));
  }
  // A call that hangs is a failure, not a hung test.
  static void Bound(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  }

  std::string folder_;
  Options options_;
  FakeControlSource source_;
  std::unique_ptr<ControlServer> server_;
  std::unique_ptr<v1::Control::Stub> stub_;
};

TEST_F(ControlServerTest, AnswersTheUnaryQuestions) {
  Start();
  grpc::ClientContext c1, c2, c3, c4;
  for (auto* context : {&c1, &c2, &c3, &c4}) Bound(*context);
  v1::GetStatusResponse status;
  ASSERT_TRUE(stub_->GetStatus(&c1, {}, &status).ok());
  EXPECT_EQ(status.gateway_id(), "gw-1");
  EXPECT_EQ(status.queues_size(), 4);
  v1::ListDevicesResponse devices;
  ASSERT_TRUE(stub_->ListDevices(&c2, {}, &devices).ok());
  EXPECT_EQ(devices.devices(0).device_id(), "vm-0001");
  v1::ListQueuesResponse queues;
  ASSERT_TRUE(stub_->ListQueues(&c3, {}, &queues).ok());
  EXPECT_EQ(queues.queues(3).name(), "shop-bulk");
  v1::SyncNowResponse synced;
  ASSERT_TRUE(stub_->SyncNow(&c4, {}, &synced).ok());
  EXPECT_EQ(source_.syncs, 1);
}

TEST_F(ControlServerTest, TracesByIdWithOrWithoutDashes) {
  Start();
  for (const auto& [text, code] : {std::pair{source_.known.ToUuid(), grpc::StatusCode::OK},
                                   std::pair{source_.known.ToHex(), grpc::StatusCode::OK},
                                   std::pair{std::string(32, '0'), grpc::StatusCode::NOT_FOUND},
                                   std::pair{std::string("nonsense"), grpc::StatusCode::INVALID_ARGUMENT}}) {
    grpc::ClientContext context;
    Bound(context);
    v1::TraceRequest request;
    request.set_event_id(text);
    v1::TraceResponse response;
    EXPECT_EQ(stub_->Trace(&context, request, &response).error_code(), code) << text;
    if (code == grpc::StatusCode::OK) {
      EXPECT_EQ(response.number(), 42u);
    }
  }
}

TEST_F(ControlServerTest, TailEndsAfterTheLastWithoutFollow) {
  Start();
  for (uint64_t i = 1; i <= 9; ++i) source_.Publish(i, i % 2 == 0 ? "even" : "odd");
  grpc::ClientContext context;
  Bound(context);
  v1::TailRequest request;
  request.set_last(3);
  request.set_device_id("even");
  auto reader = stub_->Tail(&context, request);
  std::vector<uint64_t> numbers;
  for (v1::TailedEvent event; reader->Read(&event);) numbers.push_back(event.number());
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(numbers, testing::ElementsAre(4, 6, 8));
}

TEST_F(ControlServerTest, TailFollowsWithoutPolling) {
  Start();
  source_.Publish(1);
  grpc::ClientContext context;
  Bound(context);
  v1::TailRequest request;
  request.set_last(1);
  request.set_follow(true);
  auto reader = stub_->Tail(&context, request);
  v1::TailedEvent event;
  for (uint64_t i = 1; i <= 100; ++i) {
    ASSERT_TRUE(reader->Read(&event));
    EXPECT_EQ(event.number(), i);
    source_.Publish(i + 1);
  }
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ControlServerTest, ASlowClientMissesTheOldestAndIsTold) {
  Start();
  grpc::ClientContext context;
  Bound(context);
  v1::TailRequest request;
  request.set_last(1);
  request.set_follow(true);
  source_.Publish(1);
  auto reader = stub_->Tail(&context, request);
  v1::TailedEvent event;
  ASSERT_TRUE(reader->Read(&event));
  // Far more than gRPC's flow-control window and the ring's 64 entries hold together.
  constexpr uint64_t kLast = 600;
  for (uint64_t i = 2; i <= kLast; ++i) source_.Publish(i, "vm-0001", 64 << 10);
  uint64_t dropped = 0, before = 1;
  while (before < kLast) {
    ASSERT_TRUE(reader->Read(&event));
    EXPECT_EQ(event.number(), before + event.dropped() + 1) << "every hole is counted";
    dropped += event.dropped();
    before = event.number();
  }
  EXPECT_GT(dropped, 0u);
  context.TryCancel();
  reader->Finish();
}

TEST_F(ControlServerTest, RejectedMessagesAreTailedToo) {
  Start();
  v1::RejectedMessage message;
  message.set_reason("unknown member 'prize'");
  message.set_head(std::string("\x00\xff{", 3));
  source_.rejected.Add(message);
  grpc::ClientContext context;
  Bound(context);
  v1::TailRequest request;
  request.set_last(10);
  auto reader = stub_->TailRejected(&context, request);
  v1::RejectedMessage got;
  ASSERT_TRUE(reader->Read(&got));
  EXPECT_EQ(got.head(), message.head());
  EXPECT_FALSE(reader->Read(&got));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ControlServerTest, StopEndsStreamsAndIsBounded) {
  Start();
  v1::TailRequest request;
  request.set_follow(true);
  request.set_last(1);
  source_.Publish(1);
  // One that reads and one that does not.
  grpc::ClientContext reading, stalled;
  Bound(reading);
  Bound(stalled);
  auto stalled_stub = NewStub();
  auto one = stub_->Tail(&reading, request);
  auto two = stalled_stub->Tail(&stalled, request);
  v1::TailedEvent event;
  ASSERT_TRUE(one->Read(&event));
  ASSERT_TRUE(two->Read(&event));
  for (uint64_t i = 2; i < 200; ++i) source_.Publish(i, "vm-0001", 64 << 10);
  auto status = std::async(std::launch::async, [&] {
    v1::TailedEvent next;
    while (one->Read(&next)) {
    }
    return one->Finish();
  });
  const auto before = steady_clock::now();
  server_->Stop();
  EXPECT_LT(steady_clock::now() - before, std::chrono::seconds(5));
  EXPECT_EQ(status.get().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(std::filesystem::exists(options_.socket_path));
  while (two->Read(&event)) {
  }
  EXPECT_FALSE(two->Finish().ok());
}

TEST_F(ControlServerTest, TooManyTailsAreRefused) {
  options_.max_streams = 1;
  Start();
  v1::TailRequest request;
  request.set_follow(true);
  request.set_last(1);
  source_.Publish(1);
  grpc::ClientContext first, second;
  Bound(first);
  Bound(second);
  auto one = stub_->Tail(&first, request);
  v1::TailedEvent event;
  ASSERT_TRUE(one->Read(&event));
  EXPECT_EQ(stub_->Tail(&second, request)->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  // The place is free again once the first is gone; each try is a real call, so this does not spin.
  first.TryCancel();
  one->Finish();
  for (;;) {
    grpc::ClientContext again;
    Bound(again);
    auto next = stub_->Tail(&again, request);
    const bool got = next->Read(&event);
    if (got) again.TryCancel();
    const grpc::Status status = next->Finish();
    if (got) break;
    ASSERT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
}

TEST_F(ControlServerTest, TheSocketHasTheModeThatWasAskedFor) {
  options_.mode = 0620;
  Start();
  struct stat info {};
  ASSERT_EQ(stat(options_.socket_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0620u);
}

TEST_F(ControlServerTest, ReplacesAStaleSocketOnly) {
  {
    UniqueFd dead(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, options_.socket_path.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ASSERT_TRUE(std::filesystem::is_socket(options_.socket_path));
  Start();
  auto second = ControlServer::Start(options_, source_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists) << second.status();
  grpc::ClientContext context;
  Bound(context);
  v1::GetStatusResponse status;
  EXPECT_TRUE(stub_->GetStatus(&context, {}, &status).ok()) << "the first is undisturbed";
}

TEST_F(ControlServerTest, LeavesAFileThatIsNoSocketAlone) {
  std::ofstream(options_.socket_path) << "precious";
  EXPECT_EQ(ControlServer::Start(options_, source_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::filesystem::file_size(options_.socket_path), 8u);
}

TEST_F(ControlServerTest, SaysWhatIsWrongWithThePath) {
  options_.socket_path = folder_ + "/missing/control.sock";
  EXPECT_EQ(ControlServer::Start(options_, source_).status().code(), absl::StatusCode::kNotFound);
  options_.socket_path = "/" + std::string(120, 'x');
  EXPECT_EQ(ControlServer::Start(options_, source_).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice::control
