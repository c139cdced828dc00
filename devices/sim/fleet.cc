#include "devices/sim/fleet.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "base/status.h"
#include "devices/sim/serial_link.h"

namespace sluice::sim {
namespace {

constexpr size_t kBurst = 64;                  // of one device before the next has its turn
constexpr int64_t kTickUs = 50'000;
constexpr int64_t kFlushUs = 200'000;
constexpr int64_t kSignalPatienceUs = 2'000'000;

std::string Name(const std::string& stem, uint64_t number) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "-%04llu", static_cast<unsigned long long>(number));
  return stem + digits;
}

}  // namespace

Fleet::Fleet(const Options& options) : options_(options), dice_(options.seed) {}

void Fleet::Add(const std::string& stem, uint64_t number, std::unique_ptr<Family> family, bool serial) {
  const std::string name = options_.prefix + Name(stem, number);
  auto device =
      std::make_unique<Device>(name, std::move(family), serial ? serial_options_ : options_.device, shared_);
  if (serial) {
    device->set_link(std::make_unique<SerialLink>(name, options_.serial_dir, poller_, *device));
  } else {
    device->set_link(std::make_unique<MqttLink>(name, options_.server, contexts_, poller_, *device, random_));
  }
  const char* const transport = serial ? "serial" : options_.server.listener ? "listener" : "mqtt";
  shared_.ledger.Device(name, transport, device->family().Name());
  devices_.push_back(std::move(device));
}

absl::Status Fleet::Prepare() {
  if (!options_.ledger.empty()) RETURN_IF_ERROR(shared_.ledger.Open(options_.ledger, options_.ledger_fsync));
  State::Loaded loaded;
  if (!options_.state.empty()) {
    ASSIGN_OR_RETURN(loaded, shared_.state.Open(options_.state));
  }
  if (options_.device.boot == 0) {
    options_.device.boot =
        loaded.last_boot > 0 ? loaded.last_boot + 1 : static_cast<uint64_t>(shared_.clock.WallMs());
  } else if (options_.device.boot <= loaded.last_boot) {
    return absl::InvalidArgumentError(StrCat("--boot must be above ", loaded.last_boot, ", the state folder's last"));
  }
  if (shared_.state.enabled()) {
    shared_.state.Boot(options_.device.boot);
    RETURN_IF_ERROR(shared_.state.Flush());
  }
  serial_options_ = options_.device;
  serial_options_.serial = true;
  serial_options_.receipts = true;

  uint64_t seed = options_.seed;
  using Maker = std::unique_ptr<Family> (*)(uint64_t);
  const auto add = [&](const char* stem, uint64_t count, Maker make) {
    for (uint64_t i = 1; i <= count; ++i) Add(stem, i, make(++seed), false);
  };
  add("vm", options_.vending, &MakeVending);
  add("sensor", options_.sensors, &MakeSensor);
  add("term", options_.terminals, &MakeTerminal);
  constexpr Maker kInTurn[] = {&MakeVending, &MakeSensor, &MakeTerminal};
  for (uint64_t i = 1; i <= options_.serial; ++i) {
    Add("serial", i, kInTurn[(i - 1) % 3](++seed), true);
    RETURN_IF_ERROR(static_cast<SerialLink&>(devices_.back()->link()).Open());
  }
  for (const auto& device : devices_) {
    const auto open = loaded.open.find(device->name());
    if (open == loaded.open.end()) continue;
    for (OpenEvent& event : open->second) device->Restore(std::move(event));
    loaded.open.erase(open);
  }
  if (!loaded.open.empty()) {
    std::cerr << "sluice-sim: the state folder has events of " << loaded.open.size()
              << " devices that are not simulated now (" << loaded.open.begin()->first << " …); they stay there\n";
    for (const auto& [name, events] : loaded.open) {
      for (const OpenEvent& event : events) shared_.state.Keep(name, event);
    }
  }
  return shared_.ledger.Flush();
}

bool Fleet::AllUp() const {
  return std::all_of(devices_.begin(), devices_.end(), [](const auto& device) { return device->up(); });
}

size_t Fleet::OpenCount() const {
  size_t count = 0;
  for (const auto& device : devices_) count += device->open().size();
  return count;
}

Wish Fleet::Draw() {
  if (options_.critical_share < 0) return Wish::kAny;
  return dice_.Chance(options_.critical_share) ? Wish::kCritical : Wish::kBulk;
}

bool Fleet::Enough() const { return options_.events > 0 && shared_.counters.produced >= options_.events; }

size_t Fleet::ProduceFlatOut() {
  size_t count = 0;
  for (const auto& device : devices_) {
    if (!device->up()) continue;
    for (size_t i = 0; i < kBurst && device->HasRoom() && !Enough(); ++i, ++count) device->Produce(Draw());
  }
  return count;
}

size_t Fleet::ProduceAtRate(int64_t now_us) {
  const auto due_at = [this](int64_t at_us) {
    return due_base_ + static_cast<uint64_t>(static_cast<double>(at_us - due_from_us_) * 1e-6 * options_.rate);
  };
  uint64_t due = due_at(now_us);
  size_t count = 0;
  while (shared_.counters.produced < due && !Enough()) {
    size_t tried = 0;
    while (tried < devices_.size() && !devices_[turn_ % devices_.size()]->HasRoom()) ++turn_, ++tried;
    if (tried == devices_.size()) {
      // Every device is full: the schedule slips instead of piling up a burst.
      due_from_us_ = now_us;
      due_base_ = shared_.counters.produced;
      break;
    }
    devices_[turn_++ % devices_.size()]->Produce(Draw());
    ++count;
  }
  return count;
}

size_t Fleet::Produce(int64_t now_us) { return options_.rate > 0 ? ProduceAtRate(now_us) : ProduceFlatOut(); }

void Fleet::Tick(int64_t now_us) {
  for (const auto& device : devices_) {
    device->link().Tick(now_us);
    device->CheckTimeout(now_us);
  }
}

void Fleet::Progress(int64_t now_us) {
  const Counters& c = shared_.counters;
  const uint64_t done = options_.device.receipts ? c.receipted : c.puback;
  std::fprintf(stderr, "\r%7.1f s  %zu devices  produced %llu  %s %llu (%.0f/s)  open %zu  resent %llu  refused %llu  ",
               static_cast<double>(now_us - started_us_) * 1e-6, devices_.size(),
               static_cast<unsigned long long>(c.produced), options_.device.receipts ? "receipts" : "pubacks",
               static_cast<unsigned long long>(done), static_cast<double>(done - progress_receipted_), OpenCount(),
               static_cast<unsigned long long>(c.resent), static_cast<unsigned long long>(c.refused));
  progress_receipted_ = done;
}

absl::Status Fleet::RewriteState() {
  return shared_.state.Rewrite(options_.device.boot, [this](const auto& keep) {
    for (const auto& device : devices_) {
      for (const OpenEvent& event : device->open().events()) keep(device->name(), event);
    }
  });
}

absl::Status Fleet::Step(bool producing) {
  const int64_t now_us = shared_.clock.MonotonicUs();
  size_t work = producing ? Produce(now_us) : 0;
  if (shared_.state.enabled()) {
    // The ledger first: what the state forgets, the ledger must know.
    RETURN_IF_ERROR(shared_.ledger.Flush());
    RETURN_IF_ERROR(shared_.state.Flush());
  }
  std::vector<Device*> ready;
  ready.swap(shared_.ready);
  for (Device* device : ready) work += device->Pump(kBurst);
  if (now_us >= tick_at_us_) {
    tick_at_us_ = now_us + kTickUs;
    Tick(now_us);
  }
  if (now_us >= flush_at_us_ || shared_.ledger.Full()) {
    flush_at_us_ = now_us + kFlushUs;
    RETURN_IF_ERROR(shared_.ledger.Flush());
    if (shared_.state.Grown()) RETURN_IF_ERROR(RewriteState());
  }
  if (options_.progress && now_us >= progress_at_us_) {
    if (progress_at_us_ > 0) Progress(now_us);
    progress_at_us_ = now_us + 1'000'000;
  }
  int64_t wait_us = tick_at_us_ - now_us;
  if (work > 0 && options_.rate <= 0) wait_us = 0;
  if (producing && options_.rate > 0) {
    const double next_us = static_cast<double>(shared_.counters.produced + 1 - due_base_) / options_.rate * 1e6;
    wait_us = std::min(wait_us, due_from_us_ + static_cast<int64_t>(next_us) - now_us);
  }
  poller_.Wait(std::max<int64_t>(wait_us, 0));
  return absl::OkStatus();
}

absl::Status Fleet::Run(const volatile std::sig_atomic_t& stop) {
  const auto now = [this] { return shared_.clock.MonotonicUs(); };
  started_us_ = now();
  // A fair start: nobody sends before all are connected, or some seconds have gone.
  const auto connect_us = static_cast<int64_t>(options_.connect_wait_s * 1e6);
  while (stop == 0 && !AllUp() && now() - started_us_ < connect_us) RETURN_IF_ERROR(Step(false));
  if (!AllUp() && stop == 0) {
    std::cerr << "sluice-sim: not all devices are connected yet; the last failure: " << shared_.counters.last_failure
              << "\n";
  }
  started_us_ = due_from_us_ = now();
  const auto duration_us = static_cast<int64_t>(options_.duration_s * 1e6);
  while (stop == 0 && !Enough() && (duration_us == 0 || now() - started_us_ < duration_us)) {
    RETURN_IF_ERROR(Step(true));
  }
  const int64_t patience_us = stop > 0 ? kSignalPatienceUs : static_cast<int64_t>(options_.wait_receipts_s * 1e6);
  const int64_t end_us = now() + patience_us;
  const auto signals = stop;
  while (OpenCount() > 0 && stop == signals && now() < end_us) RETURN_IF_ERROR(Step(false));
  if (options_.progress) {
    Progress(now());
    std::fputc('\n', stderr);
  }
  for (const auto& device : devices_) device->link().Close();
  RETURN_IF_ERROR(shared_.ledger.Flush());
  return shared_.state.Flush();
}

}  // namespace sluice::sim
