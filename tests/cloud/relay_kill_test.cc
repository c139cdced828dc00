// The service killed at any moment: what the store committed stands in the files once, whole and in order.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cloud/eventbus/json_lines_file.h"
#include "cloud/eventbus/relay.h"
#include "cloud/shop/device_applier.h"
#include "tests/cloud/fixture.h"

namespace sluice::cloud {
namespace {

constexpr int kRounds = 12;
constexpr uint64_t kBatch = 20;
constexpr uint64_t kFileBytes = 16'000;   // some dozen lines: set aside all the time

// Applies batches with the relay running, a byte into `progress` after each, until it is killed.
[[noreturn]] void Serve(const std::string& folder, int progress) {
  // Room for a batch or two: much goes through memory, some is read back.
  Ingest<shop::DeviceApplier> ingest(folder, shop::Schema(), nullptr, 15'000);
  eventbus::JsonLinesFile file({.path = folder + "/events.jsonl", .max_bytes = kFileBytes, .max_files = 1'000});
  auto relay = eventbus::Relay::Start({.page = 7, .note_every_ms = 3}, *ingest.store, file,
                                      [](const absl::Status&) { _exit(1); }, ingest.fresh.get());
  uint64_t cursor = ingest.CursorNow(Queue::kShopBulk);
  const auto lease = ingest.OpenStream(Queue::kShopBulk);
  for (;;) {
    std::vector<Item> items;
    for (uint64_t i = cursor + 1; i <= cursor + kBatch; ++i) {
      auto event = NewEvent(i, StrCat("d", i % 5), i);
      event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
      items.push_back(Record(i, event));
    }
    if (!ingest.cursors->Apply(lease, IdOf(1), items).ok() || write(progress, "x", 1) != 1) _exit(1);
    cursor += kBatch;
  }
}

TEST(RelayKillTest, TheFilesHoldEachLineOnceAndWhole) {
  TempFolder folder;
  SeededRandom random(20'261'121);
  uint64_t acknowledged = 0;
  for (int round = 0; round < kRounds; ++round) {
    int progress[2];
    ASSERT_EQ(pipe(progress), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(progress[0]);
      Serve(folder.path(), progress[1]);
    }
    close(progress[1]);
    char byte;
    for (uint64_t left = 1 + random.Below(25); left > 0; --left) {
      ASSERT_EQ(read(progress[0], &byte, 1), 1) << "the service ended by itself";
      acknowledged += kBatch;
    }
    kill(child, SIGKILL);
    while (read(progress[0], &byte, 1) == 1) acknowledged += kBatch;   // before the signal came
    close(progress[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  Ingest<shop::DeviceApplier> ingest(folder.path(), shop::Schema());
  {
    eventbus::JsonLinesFile file({.path = folder.path() + "/events.jsonl", .max_bytes = kFileBytes, .max_files = 1'000});
    auto relay = eventbus::Relay::Start({}, *ingest.store, file, [](const absl::Status&) {});
    ASSERT_TRUE(relay.ok());
  }
  const uint64_t cursor = ingest.CursorNow(Queue::kShopBulk);
  EXPECT_GE(cursor, acknowledged);
  EXPECT_LE(cursor, acknowledged + kRounds * kBatch);
  uint64_t expected = 0;
  const std::vector<std::string> paths = JsonLinesPaths(folder.path(), "events");
  EXPECT_GT(paths.size(), 2u);
  for (const std::string& path : paths) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      const auto envelope = nlohmann::json::parse(line, nullptr, false);
      ASSERT_FALSE(envelope.is_discarded()) << line;
      ASSERT_EQ(envelope["data"]["origin"]["seq"], ++expected) << path;
    }
  }
  EXPECT_EQ(expected, cursor);
  EXPECT_EQ(ingest.Value("SELECT count(DISTINCT seq) || ' ' || count(*) FROM effects"), StrCat(cursor, " ", cursor));
}

}  // namespace
}  // namespace sluice::cloud
