#include "tests/gateway/outbox/outbox_fixture.h"

namespace sluice::outbox {
namespace {

using OutboxModelTest = OutboxTest;

// Random actions against a plain list: nothing lost, nothing twice, nothing out of order, through restarts and rewinds.
TEST_F(OutboxModelTest, BehavesLikeAPlainList) {
  options_.memory_bytes = 24 << 10;
  options_.spill_after_ms = 5;
  journal_options_.max_segments = 6;
  struct Model {
    EpochId epoch;
    std::vector<EventId> ids;  // number n is at n - 1
    uint64_t acked = 0;
  };
  SeededRandom dice(20240601);
  std::vector<Model> epochs;
  const Queue queue = Queue::kInventory;
  const auto open = [&] {
    Open();
    epochs.push_back({journal_->epoch().id, {}, 0});
  };
  const auto check = [&](const Model& model) {
    const auto items = ReadAll(queue, model.epoch, model.acked + 1, 1 + dice.Below(300));
    uint64_t next = model.acked + 1;
    for (const Item& item : items) {
      ASSERT_FALSE(item.IsGap()) << item.first << "-" << item.last << " " << GapReasonName(item.gap);
      ASSERT_EQ(item.first, next);
      ASSERT_EQ(item.id, model.ids[next - 1]);
      ++next;
    }
    ASSERT_EQ(next, model.ids.size() + 1);
  };
  open();
  for (int step = 0; step < 3000 && !HasFatalFailure(); ++step) {
    Model& running = epochs.back();
    const uint64_t what = dice.Below(100);
    if (what < 60) {
      for (uint64_t i = dice.Below(60); i > 0; --i) {
        running.ids.push_back(IdOf(appended_ + 1));
        ASSERT_EQ(Append(queue), running.ids.size());
      }
    } else if (what < 80) {
      // The oldest with anything pending, as the uplink would.
      for (Model& model : epochs) {
        if (model.acked == model.ids.size()) continue;
        model.acked += 1 + dice.Below(model.ids.size() - model.acked);
        outbox_->Acknowledge(queue, model.epoch, model.acked);
        break;
      }
    } else if (what < 88) {
      Model& model = epochs[dice.Below(epochs.size())];
      check(model);
    } else if (what < 92) {
      outbox_->OnSpaceNeeded(0);
    } else if (what < 95) {
      // Nothing is beyond the window here, so a rewound cloud must get everything again. The model keeps no window of
      // its own: go back to the last stored or journalled number only.
      Model& model = epochs.back();
      const uint64_t held = journal_->Holds(model.epoch, queue).first;
      if (model.acked > 0 && held != 0 && held <= model.acked) {
        const uint64_t cursor = std::max(held - 1, model.acked - std::min<uint64_t>(model.acked, dice.Below(40)));
        ASSERT_TRUE(outbox_->Recover(queue, {{model.epoch, cursor}}).ok());
        model.acked = cursor;
        check(model);
      }
    } else if (what < 96) {
      Restart();
      epochs.push_back({journal_->epoch().id, {}, 0});
      std::vector<Model> left;
      for (const auto& held : outbox_->HeldEpochs(queue)) {
        for (Model& model : epochs) {
          if (model.epoch != held.epoch.id) continue;
          EXPECT_EQ(held.acked_to, model.acked) << "a clean stop saves the floors";
          EXPECT_TRUE(held.first == 0 || held.last == model.ids.size());
          left.push_back(model);
        }
      }
      for (const Model& model : epochs) {
        const bool kept = std::any_of(left.begin(), left.end(), [&](const Model& m) { return m.epoch == model.epoch; });
        EXPECT_TRUE(kept || model.acked == model.ids.size()) << "forgotten with something pending";
      }
      epochs = left;
    }
  }
  for (const Model& model : epochs) check(model);
}

}  // namespace
}  // namespace sluice::outbox
