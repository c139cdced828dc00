// The gateway's second half without devices: encoded events straight into journal, outbox and uplink, against a running
// sluice-cloud. tests/bench/uplink.py starts one and measures both ends.
#include <pthread.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "base/status.h"
#include "base/uuid.h"
#include "gateway/outbox/outbox.h"
#include "sluice/event/v1/event.pb.h"
#include "sync/uplink.h"

namespace sluice {
namespace {

using event::v1::DeviceEvent;

struct Plan {
  std::string folder, kind = "bulk";
  uint64_t events = 300'000, window = 8'192, devices = 50;
  double rate = 0;   // per second; 0: flat out
  sync::UplinkOptions uplink;
};

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double ProcessCpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

double ThreadCpu() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// As the simulated vending machines say it: one status to nine measurements.
void FillBulk(DeviceEvent& event, uint64_t i) {
  if (i % 10 == 0) {
    event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
    (*event.mutable_status()->mutable_attributes())["firmware"] = "4.2.1";
    (*event.mutable_status()->mutable_attributes())["signal"] = "-61 dBm";
    return;
  }
  const auto add = [&](const char* name) {
    auto* measurement = event.mutable_telemetry()->add_measurements();
    measurement->set_name(name);
    return measurement;
  };
  auto* temperature = add("temperature");
  temperature->set_number(3 + static_cast<double>(i % 40) / 10);
  temperature->set_unit("Cel");
  add("coins")->set_number(static_cast<double>(i % 400));
  add("door")->set_flag(false);
  add("compressor")->set_flag(i % 2 == 0);
}

void FillSale(DeviceEvent& event, uint64_t i) {
  auto* sale = event.mutable_sale();
  sale->set_product_id(StrCat("product-", i % 8));
  sale->set_selection(StrCat("A", i % 40));
  sale->set_quantity(1);
  sale->mutable_price()->set_minor_units(150);
  sale->mutable_price()->set_currency("EUR");
  sale->set_payment("card");
  sale->set_transaction_id(StrCat("t-", i));
}

struct Encoded {
  Queue queue;
  EventId id;
  std::string bytes;
};

std::vector<Encoded> Encode(const Plan& plan, Random& random, int64_t now_ms) {
  std::vector<Encoded> events;
  events.reserve(plan.events);
  Id128 boot;
  random.Fill(boot.bytes);
  for (uint64_t i = 0; i < plan.events; ++i) {
    const bool sale = plan.kind == "sale" || (plan.kind == "mix" && i % 10 == 9);
    DeviceEvent event;
    const std::string device = StrCat("bench-", i % plan.devices);
    const EventId id = Uuid8Of(StrCat(boot.ToHex(), i));
    event.set_event_id(std::string(id.View()));
    event.set_device_id(device);
    event.set_device_time_ms(now_ms + static_cast<int64_t>(i));
    event.set_received_time_ms(now_ms + static_cast<int64_t>(i));
    event.set_clock_state(event::v1::CLOCK_STATE_SYNCED);
    event.set_boot_id(std::string(boot.View()));
    event.set_since_boot_ms(static_cast<int64_t>(i));
    event.mutable_sequence()->set_boot(static_cast<uint64_t>(now_ms));
    event.mutable_sequence()->set_seq(i / plan.devices + 1);
    sale ? FillSale(event, i) : FillBulk(event, i);
    events.push_back({sale ? Queue::kInventory : Queue::kShopBulk, id, event.SerializeAsString()});
  }
  return events;
}

// What was appended and is not safe yet; the feeder waits while it is more than the window.
class Open {
 public:
  explicit Open(uint64_t window) : window_(window) {}
  void Add() { ++count_; }
  void Done() {
    const uint64_t left = --count_;
    if (left != window_ / 2 && left != 0) return;
    { const std::lock_guard lock(mutex_); }
    changed_.notify_one();
  }
  void AwaitRoom() {
    if (count_ < window_) return;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return count_ <= window_ / 2; });
  }
  bool AwaitNone(int seconds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(seconds), [&] { return count_ == 0; });
  }

 private:
  const uint64_t window_;
  std::atomic<uint64_t> count_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

double Percentile(const std::vector<int64_t>& ascending, double share) {
  if (ascending.empty()) return 0;
  return static_cast<double>(ascending[std::min(ascending.size() - 1, static_cast<size_t>(
                                 static_cast<double>(ascending.size()) * share))]) / 1000;
}

absl::Status Run(Plan plan) {
  PosixFileSystem files;
  const SystemClock clock;
  SystemRandom random;
  ASSIGN_OR_RETURN(const std::string certificate, ReadFile(plan.uplink.identity.certificate));
  ASSIGN_OR_RETURN(const sync::GatewayIdentity identity, sync::IdentityOfCertificate(certificate));
  ASSIGN_OR_RETURN(const uint64_t ordinal, outbox::NextOrdinal(plan.folder));
  ASSIGN_OR_RETURN(const auto journal,
                   journal::Journal::Open({.folder = plan.folder + "/journal"}, identity.gateway, identity.shop, ordinal,
                                          files, clock, random, nullptr));
  ASSIGN_OR_RETURN(const auto outbox, outbox::Outbox::Open({.folder = plan.folder}, *journal, clock, nullptr, nullptr));
  plan.uplink.hardware_id = "bench";
  plan.uplink.retry = {.spread_ms = 200, .base_ms = 200, .cap_ms = 2'000, .prompt_ms = 200};
  ASSIGN_OR_RETURN(const auto uplink, sync::Uplink::Create(plan.uplink, *outbox, clock, random));
  uplink->Start();
  const auto up = [](const sync::QueueStatus& status) { return status.link == sync::LinkState::kStreaming; };
  for (int64_t until = clock.MonotonicUs() + 20'000'000;;) {
    const auto status = uplink->Status();
    if (std::all_of(status.begin(), status.end(), up)) break;
    if (clock.MonotonicUs() > until) return absl::UnavailableError(StrCat("no stream: ", status.front().detail));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }

  std::vector<Encoded> events = Encode(plan, random, clock.WallMs());
  size_t bytes = 0;
  for (const Encoded& event : events) bytes += event.bytes.size();
  std::vector<int64_t> took(events.size());
  Open open(plan.window);
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const double cpu = ProcessCpu(), own = ThreadCpu();
  const int64_t begin = clock.MonotonicUs();
  for (uint64_t i = 0; i < events.size(); ++i) {
    if (plan.rate > 0) {
      const int64_t due = begin + static_cast<int64_t>(static_cast<double>(i) * 1e6 / plan.rate);
      for (int64_t now; (now = clock.MonotonicUs()) < due;) {
        std::this_thread::sleep_for(std::chrono::microseconds(due - now));
      }
    }
    open.AwaitRoom();
    open.Add();
    const int64_t at = clock.MonotonicUs();
    journal::NewRecord record{events[i].queue, events[i].id, clock.WallMs(), std::move(events[i].bytes)};
    for (;;) {
      const auto number = journal->Append(record, [&, i, at](absl::Status status) {
        took[i] = status.ok() ? clock.MonotonicUs() - at : INT64_MAX;
        open.Done();
      });
      if (number.ok()) break;
      if (!absl::IsResourceExhausted(number.status())) return number.status();
      journal->WaitForSpace(1'000);
    }
  }
  const double feeder = ThreadCpu() - own;
  if (!open.AwaitNone(60)) return absl::DeadlineExceededError("events without an acknowledgement");
  // Safe may mean synced; acknowledged is what is measured.
  uint64_t acked = 0;
  for (int64_t until = clock.MonotonicUs() + 60'000'000; acked < events.size();) {
    acked = 0;
    for (const auto& status : uplink->Status()) acked += status.figures.acked_items;
    if (clock.MonotonicUs() > until) return absl::DeadlineExceededError("events without an acknowledgement");
    if (acked < events.size()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const double wall = static_cast<double>(clock.MonotonicUs() - begin) / 1e6;
  const double used = ProcessCpu() - cpu;
  getrusage(RUSAGE_SELF, &after);
  uint64_t batches = 0, acks = 0;
  for (const auto& status : uplink->Status()) {
    batches += status.figures.sent_batches;
    acks += status.figures.acks;
  }
  std::sort(took.begin(), took.end());
  const double each = 1e6 / static_cast<double>(events.size());
  std::printf("{\"events\":%zu,\"event_bytes\":%zu,\"wall_s\":%.3f,\"eps\":%.0f,\"gateway_cpu_us\":%.2f,"
              "\"feeder_cpu_us\":%.2f,\"batches\":%lu,\"acks\":%lu,\"syncs\":%lu,\"switches\":%ld,\"spilled\":%ld,"
              "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"p999_ms\":%.2f}\n",
              events.size(), bytes / events.size(), wall, static_cast<double>(events.size()) / wall, used * each,
              feeder * each, batches, acks, journal->figures().syncs,
              after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw,
              static_cast<long>(outbox->counters()["spilled_rows"]), Percentile(took, 0.5), Percentile(took, 0.99),
              Percentile(took, 0.999));
  std::fflush(stdout);
  uplink->Stop();
  return outbox->Close();
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::Plan plan;
  CLI::App app{"uplink_bench: encoded events through journal, outbox and uplink to a running sluice-cloud"};
  app.add_option("--folder", plan.folder, "state folder on a real disk")->required();
  app.add_option("--cert", plan.uplink.identity.certificate)->required();
  app.add_option("--key", plan.uplink.identity.private_key)->required();
  app.add_option("--ca", plan.uplink.identity.authorities)->required();
  app.add_option("--shop", plan.uplink.shop_address)->required();
  app.add_option("--inventory", plan.uplink.inventory_address)->required();
  app.add_option("--attendance", plan.uplink.attendance_address)->required();
  app.add_option("--server-name", plan.uplink.channel.server_name);
  app.add_option("--kind", plan.kind, "bulk, sale, or mix (nine bulk to a sale)")
      ->check(CLI::IsMember({"bulk", "sale", "mix"}));
  app.add_option("--events", plan.events);
  app.add_option("--devices", plan.devices);
  app.add_option("--rate", plan.rate, "events per second; 0: flat out");
  app.add_option("--window", plan.window, "events appended and not yet safe");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = sluice::Run(std::move(plan));
  if (status.ok()) return 0;
  std::fprintf(stderr, "uplink_bench: %s\n", std::string(sluice::MessageOf(status)).c_str());
  return 1;
}
