#include <cstdio>
#include <cstdlib>

#include "base/strings.h"
#include "tests/gateway/outbox/outbox_fixture.h"

namespace sluice::outbox {
namespace {

using OutboxModelTest = OutboxTest;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Random actions against a plain list: nothing lost, nothing twice, nothing out of order, through restarts and rewinds.
// SLUICE_ACTIONS: how many; SLUICE_SEED replays.
TEST_F(OutboxModelTest, BehavesLikeAPlainList) {
  options_.memory_bytes = 24 << 10;
  options_.spill_after_ms = 5;
  journal_options_.max_segments = 6;
  struct Model {
    EpochId epoch;
    std::vector<EventId> ids;  // number n is at n - 1
    uint64_t acked = 0;
    bool rewindable = true;    // what it held may have been keyed anew, or never was in this run's journal
  };
  const uint64_t actions = FromEnvironment("SLUICE_ACTIONS", 3000), seed = FromEnvironment("SLUICE_SEED", 20240601);
  SCOPED_TRACE(StrCat("SLUICE_SEED=", seed));
  SeededRandom dice(seed);
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
  // What is held is what the list says, each under its keys and in its place.
  const auto compare = [&] {
    std::vector<Model> left;
    for (const auto& held : outbox_->HeldEpochs(queue)) {
      for (Model& model : epochs) {
        if (model.epoch != held.epoch.id) continue;
        EXPECT_EQ(held.acked_to, model.acked);
        EXPECT_EQ(held.last, model.ids.size());
        left.push_back(model);
      }
    }
    for (const Model& model : epochs) {
      const bool kept = std::any_of(left.begin(), left.end(), [&](const Model& m) { return m.epoch == model.epoch; });
      EXPECT_TRUE(kept || model.ids.empty()) << "forgotten";
    }
    EXPECT_EQ(left.back().epoch, outbox_->RunningEpoch(queue).id);
    epochs = left;
  };
  // Everything from `from` on goes to a fresh epoch behind it.
  const auto cut = [&](size_t at, uint64_t from) {
    Model fresh{.rewindable = false};
    for (const auto& held : outbox_->HeldEpochs(queue)) {
      if (std::none_of(epochs.begin(), epochs.end(), [&](const Model& m) { return m.epoch == held.epoch.id; }) &&
          held.epoch.id != journal_->epoch().id) {
        fresh.epoch = held.epoch.id;
      }
    }
    fresh.ids.assign(epochs[at].ids.begin() + static_cast<ptrdiff_t>(from) - 1, epochs[at].ids.end());
    epochs[at].ids.resize(from - 1);
    epochs[at].acked = from - 1;
    epochs[at].rewindable = false;
    epochs.insert(epochs.begin() + static_cast<ptrdiff_t>(at) + 1, fresh);
  };
  uint64_t cuts = 0, begun = 0;
  for (uint64_t step = 0; step < actions && !HasFatalFailure(); ++step) {
    Model& running = epochs.back();
    const uint64_t what = dice.Below(100);
    if (what < 60) {
      for (uint64_t i = dice.Below(60); i > 0; --i) {
        running.ids.push_back(IdOf(appended_ + 1));
        Append(queue);
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
      if (model.rewindable && model.acked > 0 && held != 0 && held <= model.acked) {
        const uint64_t cursor = std::max(held - 1, model.acked - std::min<uint64_t>(model.acked, dice.Below(40)));
        ASSERT_TRUE(outbox_->Recover(queue, {{model.epoch, cursor}}).ok());
        model.acked = cursor;
        check(model);
      }
    } else if (what < 96) {
      Restart();
      epochs.push_back({journal_->epoch().id, {}, 0});
      compare();
    } else if (what < 97) {
      // Where every segment is in use it is asked for room, and may be tried again.
      while (!outbox_->BeginEpoch("shop").ok()) std::this_thread::yield();
      epochs.push_back({journal_->epoch().id, {}, 0});
      ++begun;
      compare();
    } else if (what < 98) {
      // Another box under the keys of one of them.
      std::vector<size_t> pending;
      for (size_t i = 0; i < epochs.size(); ++i) {
        if (epochs[i].acked < epochs[i].ids.size()) pending.push_back(i);
      }
      if (pending.empty()) continue;
      const size_t at = pending[dice.Below(pending.size())];
      const Model model = epochs[at];
      const EpochId running_before = journal_->epoch().id;
      ASSERT_TRUE(outbox_->KeyAnew(queue, model.epoch, model.acked).ok());
      cut(at, model.acked + 1);
      if (journal_->epoch().id != running_before) epochs.push_back({journal_->epoch().id, {}, 0});
      ++cuts;
      compare();
    }
  }
  EXPECT_GT(cuts, actions / 300);
  EXPECT_GT(begun, actions / 300);
  for (const Model& model : epochs) check(model);
  std::printf("%llu actions\n", static_cast<unsigned long long>(actions));
}

}  // namespace
}  // namespace sluice::outbox
