// One gateway queue's box in virtual time: what the uplink does with its sender, over a model of the store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sync/retry_policy.h"
#include "sync/sender.h"
#include "tests/sync/model_outbox.h"
#include "tests/sync/simulated_wire.h"
#include "tests/sync/timeline.h"

namespace sluice::sync {

struct BoxOptions {
  SenderOptions sender;
  RetryOptions retry{.spread_ms = 2000, .base_ms = 500, .cap_ms = 4000, .prompt_ms = 200, .slow_min_ms = 5000,
                     .slow_max_ms = 9000};
  Queue queue = Queue::kInventory;
  std::string gateway = "g1";
  std::string hardware = "box";
};

class SimulatedBox final : private Observer {
 public:
  SimulatedBox(BoxOptions options, std::string shop, std::unique_ptr<ModelOutbox> outbox, Timeline& time,
               Random& random, SimulatedWire& wire);

  // The number under which the event lies.
  uint64_t Append(std::string payload);
  void BreakLink();
  void LinkDown(int64_t until_us);
  void Prompt();
  // The power is cut and comes back, with the same store or with another.
  void PowerCut(bool tail_known);
  void Restart(std::unique_ptr<ModelOutbox> outbox);
  // Its certificate names another shop from now on.
  void ChangeShop(const std::string& shop);
  // For good, in good order.
  void Stop();

  ModelOutbox& outbox() { return *outbox_; }
  const ModelOutbox& outbox() const { return *outbox_; }
  const BoxOptions& options() const { return options_; }
  const std::string& shop() const { return shop_; }
  bool stopped() const { return stopped_; }
  bool Drained() const { return outbox_->Drained(options_.queue); }
  uint64_t streams() const { return streams_; }
  uint64_t welcomes() const { return welcomes_before_ + sender_->figures().welcomes; }
  const std::vector<std::pair<Alarm, std::string>>& alarms() const { return alarms_; }

 private:
  void StartSender();
  void Poke();
  void Pump();
  void PumpAt(int64_t at_us);
  void Connect();
  void End(absl::Status status, bool clean = false);
  void OnAlarm(Queue, Alarm alarm, const std::string& text) override { alarms_.emplace_back(alarm, text); }
  void OnDeadLetter(Queue, const EpochId&, uint64_t, const std::string&) override {}

  const BoxOptions options_;
  std::string shop_;
  std::unique_ptr<ModelOutbox> outbox_;
  Timeline& time_;
  Random& random_;
  Dice dice_;
  SimulatedWire& wire_;
  LinkShare share_;
  std::unique_ptr<Sender> sender_;
  std::unique_ptr<RetryPolicy> retry_;
  std::shared_ptr<Connection> connection_;
  bool writing_ = false;
  bool poked_ = false;
  bool stopped_ = false;
  int64_t next_pump_us_ = 0;
  int64_t link_down_until_ = 0;
  uint64_t streams_ = 0;
  uint64_t welcomes_before_ = 0;
  std::vector<std::pair<Alarm, std::string>> alarms_;
};

}  // namespace sluice::sync
