#include "tests/sync/simulation.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/strings.h"
#include "tests/sync/model_outbox.h"
#include "tests/sync/model_store.h"
#include "tests/sync/simulated_box.h"
#include "tests/sync/simulated_wire.h"
#include "tests/sync/simulation_judge.h"
#include "tests/sync/timeline.h"

namespace sluice::sync {
namespace {

constexpr Queue kQueue = Queue::kInventory;
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kTroubleEndsUs = 40 * kSecond;
// Then one more stream for each: the cloud may have been restored behind one that is still open at the edge.
constexpr int64_t kRestBeginsUs = kTroubleEndsUs + 10 * kSecond;
// Two boxes side by side, left alone: who has the lease has to keep it.
constexpr int64_t kRestEndsUs = kRestBeginsUs + 240 * kSecond;
constexpr int64_t kSettledUs = kRestEndsUs - 60 * kSecond;
constexpr int64_t kGiveUpUs = 1200 * kSecond;

class World {
 public:
  explicit World(uint64_t seed) : random_(seed), dice_(random_), store_(random_) {
    BoxOptions box;
    box.sender.pacing.max_batch_items = 1 + dice_.Below(20);
    box.sender.pacing.max_batch_bytes = 200 + dice_.Below(4000);
    box.sender.pacing.max_in_flight_items = 1 + dice_.Below(200);
    box.sender.renew_us = (1 + static_cast<int64_t>(dice_.Below(100))) * kSecond;
    WireOptions wire;
    wire.receiver.queues = {kQueue};
    wire.receiver.credit_items = dice_.Below(100);
    wire.receiver.credit_bytes = dice_.Below(20'000);
    wire.receiver.apply_max_items = 1 + dice_.Below(50);
    wire.receiver.store_retry_ms = 100 + static_cast<int64_t>(dice_.Below(1000));
    wire.receiver.lease_retry_ms = 100 + static_cast<int64_t>(dice_.Below(1000));
    wire.loss = dice_.Chance(0.25) ? 0 : random_.Unit() * 0.05;
    wire.latency_us = 100 + static_cast<int64_t>(dice_.Below(200'000));
    wire.trouble_ends_us = kTroubleEndsUs;
    wire.never_us = kGiveUpUs + 1;
    window_ = dice_.Below(60);
    may_restore_cloud_ = dice_.Chance(0.4);
    may_restore_edge_ = dice_.Chance(0.2);
    may_copy_ = dice_.Chance(0.4);
    may_change_shop_ = !may_copy_ && dice_.Chance(0.3);
    tails_known_ = dice_.Chance(0.3);
    if (may_copy_) box.sender.renew_us = std::min(box.sender.renew_us, 10 * kSecond);
    store_.UseClock(time_.clock(), 3 * box.sender.renew_us / 1000 + 10'000);
    wire_ = std::make_unique<SimulatedWire>(wire, time_, random_, store_);
    boxes_.push_back(std::make_unique<SimulatedBox>(box, "s1", std::make_unique<ModelOutbox>("g1", "s1", random_), time_,
                                                    random_, *wire_));
  }

  SimulationResult Run() {
    time_.At(0, [this] { Produce(); });
    time_.At(0, [this] { SyncJournals(); });
    time_.At(0, [this] { MakeTrouble(); });
    time_.At(kRestBeginsUs, [this] {
      for (const auto& box : boxes_) {
        before_rest_.push_back(box->welcomes());
        box->BreakLink();
      }
      seen_ = before_rest_;
      WatchTurns();
    });
    while (fault_.empty() && !Over() && time_.Step(kGiveUpUs)) {
    }
    result_.virtual_ms = static_cast<uint64_t>(time_.now() / 1000);
    Conclude();
    return result_;
  }

 private:
  bool Troubled() const { return time_.now() < kTroubleEndsUs; }
  SimulatedBox& AnyBox() { return *boxes_[dice_.Below(boxes_.size())]; }

  // Two machines under one epoch, and neither has found out: what one of them forgets now the other's hides (the stated
  // limit of a machine that is copied while it runs).
  bool Contested() const {
    return twins_ && std::all_of(boxes_.begin(), boxes_.end(),
                                 [&](const auto& box) { return box->outbox().running().id == *twins_; });
  }

  void Produce() {
    if (!Troubled()) return;
    for (size_t i = 0; i < boxes_.size(); ++i) {
      SimulatedBox& box = *boxes_[i];
      for (uint64_t burst = 1 + dice_.Below(6); burst > 0; --burst) {
        Produced one{.shop = box.shop(), .box = i, .epoch = box.outbox().running().id};
        random_.Fill(one.id.bytes);
        one.payload = std::string(one.id.View()) + std::string(dice_.Below(60), 'p');
        one.number = box.Append(one.payload);
        produced_.push_back(std::move(one));
      }
    }
    time_.After(dice_.Upto(kSecond), [this] { Produce(); });
  }

  void SyncJournals() {
    for (const auto& box : boxes_) {
      box->outbox().SyncAll();
      box->outbox().Trim(kQueue, window_);
    }
    for (Produced& one : produced_) one.safe |= !one.torn_off && !one.set_back;
    time_.After(1 + dice_.Upto(5 * kSecond), [this] { SyncJournals(); });
  }

  void MarkAcknowledged() {
    for (Produced& one : produced_) {
      if (!one.torn_off && !one.safe) one.safe = boxes_[one.box]->outbox().EverAcknowledged(one.id);
    }
  }

  void MakeTrouble() {
    if (!Troubled()) return;
    const uint64_t what = dice_.Below(14);
    if (what < 2) {
      AnyBox().BreakLink();
    } else if (what < 3) {
      CutPower(dice_.Below(boxes_.size()));
    } else if (what < 4) {
      wire_->CrashCloud();
    } else if (what < 5) {
      store_.FailNext(1 + static_cast<int>(dice_.Below(3)));
      ++result_.store_failures;
    } else if (what < 6) {
      AnyBox().LinkDown(time_.now() + dice_.Upto(5 * kSecond));
    } else if (what < 7) {
      AnyBox().Prompt();
    } else if (what < 8) {
      store_.TakeSnapshot();
    } else if (what < 9) {
      RestoreCloud();
    } else if (what < 11) {
      RestoreEdge();
    } else if (what < 13) {
      CopyBox();
    } else {
      ChangeShop();
    }
    time_.After(dice_.Upto(4 * kSecond), [this] { MakeTrouble(); });
  }

  void CutPower(size_t index) {
    SimulatedBox& box = *boxes_[index];
    if (Contested()) return;
    MarkAcknowledged();
    ++result_.edge_crashes;
    Tear(index);
    const bool tail_known = tails_known_ && dice_.Chance(0.5);
    troubles_.known_tails += tail_known ? 1 : 0;
    box.PowerCut(tail_known);
  }

  // What the box has not synced goes with the power.
  void Tear(size_t index) {
    const ModelOutbox& outbox = boxes_[index]->outbox();
    for (Produced& one : produced_) {
      if (one.box == index && one.epoch == outbox.running().id && one.number > outbox.synced_to(kQueue)) one.torn_off = true;
    }
  }

  void RestoreCloud() {
    if (!may_restore_cloud_ || Contested()) return;
    wire_->CrashCloud();
    store_.RestoreSnapshot();
    ++troubles_.cloud_restores;
  }

  // First a copy is taken, later the box is set back to it.
  void RestoreEdge() {
    if (!may_restore_edge_ || Contested()) return;
    if (backup_ == nullptr || dice_.Chance(0.5)) {
      backup_of_ = dice_.Below(boxes_.size());
      backup_ = std::make_unique<ModelOutbox>(boxes_[backup_of_]->outbox(), random_);
      return;
    }
    MarkAcknowledged();
    keys_.Add(boxes_[backup_of_]->outbox());
    for (Produced& one : produced_) {
      const bool unsynced = one.epoch == backup_->running().id && one.number > backup_->synced_to(kQueue);
      if (one.box == backup_of_ && unsynced) one.set_back = true;
    }
    boxes_[backup_of_]->Restart(std::move(backup_));
    const ModelOutbox& outbox = boxes_[backup_of_]->outbox();
    for (Produced& one : produced_) {
      if (one.box == backup_of_ && !outbox.Holds(one.id) && !outbox.EverAcknowledged(one.id)) one.set_back = true;
    }
    ++troubles_.edge_restores;
  }

  void CopyBox() {
    if (!may_copy_ || boxes_.size() > 1) return;
    SimulatedBox& box = *boxes_.front();
    BoxOptions options = box.options();
    auto outbox = std::make_unique<ModelOutbox>(box.outbox(), random_);
    if (dice_.Chance(0.4)) {
      twins_ = box.outbox().running().id;
      ++result_.twin_machines;
    } else {
      // A card that was copied: what was not synced may be on it or not.
      if (dice_.Chance(0.5)) outbox->SyncAll();
      const bool tail_known = tails_known_ && dice_.Chance(0.5);
      troubles_.known_tails += tail_known ? 1 : 0;
      outbox->Crash(tail_known);
      if (dice_.Chance(0.5)) options.hardware = "other box";
      ++result_.copied_cards;
    }
    ++troubles_.copies;
    boxes_.push_back(std::make_unique<SimulatedBox>(options, box.shop(), std::move(outbox), time_, random_, *wire_));
  }

  void ChangeShop() {
    if (!may_change_shop_) return;
    SimulatedBox& box = *boxes_.front();
    box.ChangeShop(box.shop() == "s1" ? "s2" : "s1");
    ++result_.shop_changes;
    for (Produced& one : produced_) one.safe |= !one.torn_off && !one.set_back;   // an epoch ends safe
  }

  // While nothing happens to them the lease stays with one.
  void WatchTurns() {
    for (size_t i = 0; i < boxes_.size(); ++i) {
      if (boxes_[i]->welcomes() == seen_[i]) continue;
      seen_[i] = boxes_[i]->welcomes();
      if (last_turn_ && *last_turn_ != i && time_.now() > kSettledUs) fault_ = "ping-pong";
      last_turn_ = i;
    }
    if (time_.now() < kRestEndsUs) time_.After(kSecond / 5, [this] { WatchTurns(); });
  }

  // Who has the lease and nothing left to say goes, and the other has its turn.
  bool Over() {
    if (before_rest_.empty() || time_.now() < (boxes_.size() > 1 ? kRestEndsUs : kRestBeginsUs)) return false;
    bool over = true;
    for (size_t i = 0; i < boxes_.size(); ++i) {
      SimulatedBox& box = *boxes_[i];
      if (box.stopped()) continue;
      if (box.welcomes() > before_rest_[i] && box.Drained()) {
        box.Stop();
      } else {
        over = false;
      }
    }
    return over;
  }

  void Conclude() {
    MarkAcknowledged();
    for (size_t i = 0; i < boxes_.size(); ++i) {
      const SimulatedBox& box = *boxes_[i];
      keys_.Add(box.outbox());
      result_.streams += box.streams();
      result_.keyed_anew += box.outbox().keyed_anew();
      for (const auto& [alarm, text] : box.alarms()) {
        (alarm == Alarm::kLeaseHeld ? result_.lease_alarms : result_.clone_alarms) += 1;
        const bool excused = alarm == Alarm::kLeaseHeld || alarm == Alarm::kCloned || alarm == Alarm::kAckBeyondSent;
        if (fault_.empty() && (!excused || troubles_.copies + troubles_.edge_restores == 0)) fault_ = StrCat("alarm ", AlarmName(alarm), ": ", text);
      }
      if (fault_.empty() && !box.stopped()) fault_ = StrCat("box ", i, " has not come to its end");
    }
    if (fault_.empty()) fault_ = wire_->fault();
    result_.produced = produced_.size();
    result_.effects = store_.effects().size();
    result_.repeats = store_.repeats();
    result_.refusals = wire_->refusals();
    result_.cloud_restores = troubles_.cloud_restores;
    result_.edge_restores = troubles_.edge_restores;
    if (fault_.empty()) {
      const Verdict verdict = JudgeWorld(produced_, keys_, store_, troubles_);
      fault_ = verdict.fault;
      result_.lost_named = verdict.lost_named;
    }
    result_.fault = fault_;
  }

  Timeline time_;
  SeededRandom random_;
  Dice dice_;
  ModelStore store_;
  std::unique_ptr<SimulatedWire> wire_;
  std::vector<std::unique_ptr<SimulatedBox>> boxes_;
  size_t window_ = 0;
  bool may_restore_cloud_ = false, may_restore_edge_ = false, may_copy_ = false, may_change_shop_ = false;
  bool tails_known_ = false;

  std::vector<Produced> produced_;
  KeyTable keys_;
  Troubles troubles_;
  std::unique_ptr<ModelOutbox> backup_;
  size_t backup_of_ = 0;
  std::optional<EpochId> twins_;        // the epoch that two machines were started under
  std::vector<uint64_t> before_rest_, seen_;   // Welcomes of each box
  std::optional<size_t> last_turn_;
  std::string fault_;
  SimulationResult result_;
};

}  // namespace

SimulationResult Simulate(uint64_t seed) { return World(seed).Run(); }

}  // namespace sluice::sync
