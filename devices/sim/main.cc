// sluice-sim: invented shop devices for demonstrations, load and fault tests. See README.md beside this file.
#include <sys/resource.h>

#include <csignal>
#include <iostream>

#include "base/status.h"
#include "devices/sim/fleet.h"
#include "devices/sim/options.h"

namespace {

volatile std::sig_atomic_t signals = 0;
void OnSignal(int) { signals = signals + 1; }

// Each MQTT device holds one descriptor.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Ms(int64_t us) { return static_cast<double>(us) * 1e-3; }

void PrintSummary(const sluice::sim::Fleet& fleet, uint64_t boot) {
  const sluice::sim::Counters& c = fleet.counters();
  const double seconds = static_cast<double>(std::max<int64_t>(c.last_answer_us - c.first_sent_us, 0)) * 1e-6;
  std::cout << "{\"devices\":" << fleet.devices() << ",\"boot\":" << boot << ",\"produced\":" << c.produced
            << ",\"sent\":" << c.sent << ",\"puback\":" << c.puback << ",\"unheard\":" << c.unheard
            << ",\"receipted\":" << c.receipted
            << ",\"refused\":" << c.refused << ",\"resent\":" << c.resent << ",\"dup\":" << c.dup << ",\"open\":" << fleet.OpenCount()
            << ",\"server_refused\":" << c.server_refused << ",\"receipts\":" << c.receipts
            << ",\"bad_receipts\":" << c.bad_receipts << ",\"disconnects\":" << c.disconnects
            << ",\"puback_ms\":{\"p50\":"
            << Ms(c.puback_us.AtUs(0.5)) << ",\"p99\":" << Ms(c.puback_us.AtUs(0.99)) << ",\"max\":"
            << Ms(c.puback_us.largest_us()) << "}"
            << ",\"bytes\":" << c.bytes << ",\"seconds\":" << seconds << ",\"cpu_s\":" << CpuSeconds() << "}" << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  auto parsed = sluice::sim::ParseOptions(argc, argv);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const sluice::sim::Options& options = std::get<sluice::sim::Options>(parsed);

  RaiseDescriptorLimit();
  std::signal(SIGPIPE, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = OnSignal;  // no SA_RESTART: a signal must end the wait
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);

  sluice::sim::Fleet fleet(options);
  absl::Status status = fleet.Prepare();
  if (status.ok()) status = fleet.Run(signals);
  if (!status.ok()) {
    std::cerr << "sluice-sim: " << sluice::MessageOf(status) << "\n";
    return 3;
  }
  if (options.json) PrintSummary(fleet, fleet.boot());
  const size_t open = fleet.OpenCount();
  if (open == 0) return 0;
  std::cerr << "sluice-sim: " << open << " events without an answer";
  if (!fleet.counters().last_failure.empty()) std::cerr << "; the last failure: " << fleet.counters().last_failure;
  std::cerr << "\n";
  return signals > 0 ? 0 : 1;
}
