#include "gateway/daemon/dead_letter_log.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sluice::daemon {
namespace {

DeadLetterEntry Letter(uint64_t number, const std::string& reason = "r", Queue queue = Queue::kInventory) {
  return {.queue = queue, .epoch = *EpochId::Parse(std::string(32, '1')), .number = number, .reason = reason};
}

std::string Text(const DeadLetterLog& log) {
  std::string text;
  for (const auto& entry : log.List()) text += StrCat(entry.number, entry.reason, " ");
  return text;
}

TEST(DeadLetterLogTest, KeepsTheNewest) {
  DeadLetterLog log(3);
  for (uint64_t i = 1; i <= 3; ++i) log.Add(Letter(i));
  EXPECT_EQ(Text(log), "1r 2r 3r ");
  EXPECT_EQ(log.forgotten(), 0u);
  log.Add(Letter(4));
  EXPECT_EQ(Text(log), "2r 3r 4r ");
  EXPECT_EQ(log.forgotten(), 1u);
}

TEST(DeadLetterLogTest, OneThatIsToldOfAgainIsThereOnce) {
  DeadLetterLog log(3);
  log.Add(Letter(1));
  log.Add(Letter(2));
  log.Add(Letter(1, "s"));
  EXPECT_EQ(Text(log), "2r 1s ");
  log.Add(Letter(1, "t", Queue::kAttendance));
  EXPECT_EQ(Text(log), "2r 1s 1t ") << "another queue's numbers are others";
  EXPECT_EQ(log.forgotten(), 0u);
}

}  // namespace
}  // namespace sluice::daemon
