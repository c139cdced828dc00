#include "devices/sim/state.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace sluice::sim {
namespace {

class StateTest : public testing::Test {
 protected:
  StateTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sim-state-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~StateTest() override { std::filesystem::remove_all(folder_); }

  static OpenEvent Event(uint64_t boot, uint64_t seq) {
    return {.boot = boot, .seq = seq, .kind = Kind::kSale, .body = "{\"seq\":" + std::to_string(seq) + "}"};
  }

  std::string folder_;
};

TEST_F(StateTest, BringsBackWhatNoReceiptNamed) {
  {
    State state;
    ASSERT_EQ(state.Open(folder_)->last_boot, 0u);
    state.Boot(5);
    for (uint64_t seq = 1; seq <= 4; ++seq) state.Keep("vm-1", Event(5, seq));
    state.Keep("vm-2", Event(5, 1));
    state.Closed("vm-1", 5, 1, 2);
    state.Closed("vm-1", 5, 4, 4);
    ASSERT_TRUE(state.Flush().ok());
  }
  for (int round = 0; round < 2; ++round) {  // opening rewrites the file: twice gives the same
    State state;
    const auto loaded = state.Open(folder_);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->last_boot, 5u);
    ASSERT_EQ(loaded->open.size(), 2u);
    ASSERT_EQ(loaded->open.at("vm-1").size(), 1u);
    EXPECT_EQ(loaded->open.at("vm-1")[0].seq, 3u);
    EXPECT_EQ(loaded->open.at("vm-1")[0].kind, Kind::kSale);
    EXPECT_EQ(loaded->open.at("vm-1")[0].body, "{\"seq\":3}");
  }
}

TEST_F(StateTest, IgnoresATornLastLine) {
  {
    State state;
    ASSERT_TRUE(state.Open(folder_).ok());
    state.Boot(5);
    state.Keep("vm-1", Event(5, 1));
    ASSERT_TRUE(state.Flush().ok());
  }
  std::ofstream(folder_ + "/events.log", std::ios::app) << "E\tvm-1\t5\t2\tsale\t{\"se";
  State state;
  EXPECT_EQ(state.Open(folder_)->open.at("vm-1").size(), 1u);
}

TEST_F(StateTest, OneProcessPerFolder) {
  State one;
  ASSERT_TRUE(one.Open(folder_).ok());
  State two;
  EXPECT_TRUE(absl::IsFailedPrecondition(two.Open(folder_).status()));
}

}  // namespace
}  // namespace sluice::sim
