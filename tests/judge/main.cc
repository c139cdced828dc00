// sluice-judge: did every event that the gateway answered, by receipt or by PUBACK on its own listener, take effect exactly
// once, in order? It compares the simulators'
// ledgers with the cloud's stores and the bus, and believes neither edge nor cloud.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <thread>

#include "tests/judge/readers.h"

namespace {

using sluice::judge::Tally;
using sluice::judge::Verdict;
using Clock = std::chrono::steady_clock;

struct Options {
  std::vector<std::string> ledgers;
  std::string cloud_data;
  double wait_s = 0;
  bool expect_accepted = false;
  bool json = false;
  bool allow_foreign = false;
  size_t show = 10;
};

bool ReadAll(const Options& options, Tally& tally, std::string& error) {
  constexpr const char* kServices[] = {"shop", "inventory", "attendance"};
  for (const std::string& ledger : options.ledgers) {
    if (!ReadLedger(ledger, tally, error)) return false;
  }
  for (const char* service : kServices) {
    if (!ReadStore(options.cloud_data + "/" + service + ".db", tally, error)) return false;
  }
  for (const char* service : kServices) {
    if (!ReadBus(options.cloud_data + "/" + service + "-events.jsonl", tally, error)) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Compares the ledgers of simulated devices with what took effect in the cloud and what the bus told.",
               "sluice-judge");
  app.add_option("--ledger", options.ledgers, "A simulator's ledger; may be repeated")->required()->allow_extra_args(false);
  app.add_option("--cloud-data", options.cloud_data, "The cloud's data folder: stores and bus files")
      ->required()->check(CLI::ExistingDirectory);
  app.add_option("--wait", options.wait_s, "Read again for up to so many seconds, until everything accepted is applied");
  app.add_flag("--expect-accepted", options.expect_accepted, "Nothing accepted is a failure too");
  app.add_flag("--allow-foreign", options.allow_foreign, "Effects and events of devices that no ledger knows are no fault");
  app.add_flag("--json", options.json, "Accepted for symmetry: standard output is always the one JSON line");
  app.add_option("--show", options.show, "How many faults to tell on standard error")->capture_default_str();
  app.footer("Exit code: 0 applied equals accepted, nothing missing, doubled, out of order or other than sent; 1 otherwise; 2 misuse or unreadable.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.wait_s));
  Verdict verdict;
  while (true) {
    const Clock::time_point begin = Clock::now();
    Tally tally;
    std::string error;
    if (!ReadAll(options, tally, error)) {
      std::cerr << "sluice-judge: " << error << "\n";
      if (Clock::now() >= end) return 2;
    } else {
      verdict = tally.Judge(options.show);
      // Ledgers are written and read before what the cloud makes of them: also what is too much may come right.
      const bool settled = verdict.Good(options.allow_foreign) && (!options.expect_accepted || verdict.accepted > 0);
      if (settled || Clock::now() >= end) break;
    }
    // As long again as reading took, so that watching costs the cloud at most half a core.
    const auto pause = std::max<Clock::duration>(Clock::now() - begin, std::chrono::milliseconds(200));
    std::this_thread::sleep_for(std::min<Clock::duration>(pause, end - Clock::now()));
  }
  for (const std::string& fault : verdict.faults) std::cerr << "sluice-judge: " << fault << "\n";
  std::cout << verdict.ToJson() << std::endl;
  return verdict.Good(options.allow_foreign) && (!options.expect_accepted || verdict.accepted > 0) ? 0 : 1;
}
