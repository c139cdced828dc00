// sluiced: the gateway daemon.
#include <malloc.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <string>

#include "base/strings.h"
#include "gateway/config/config.h"
#include "gateway/daemon/content_check.h"
#include "gateway/daemon/daemon.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "sluiced: %s\n", std::string(sluice::MessageOf(status)).c_str());
  return 1;
}

// Each connection of a device is a descriptor, and the usual soft limit of 1024 is for programs that call select.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Collects what shop hardware says and delivers it to the cloud exactly once."};
  std::string path = "/etc/sluice/sluiced.toml";
  bool check = false;
  bool print = false;
  app.add_option("-c,--config", path, "configuration file")->capture_default_str();
  app.add_flag("--check", check, "check the configuration and the files it names, then end");
  app.add_flag("--print-config", print, "print the configuration in effect, defaults included, then end");
  app.set_version_flag("--version", std::string("sluiced ") + sluice::daemon::kVersion);
  CLI11_PARSE(app, argc, argv);

  const auto config = sluice::config::LoadConfig(path);
  if (!config.ok()) return Fail(config.status());
  if (check) {
    if (const auto status = sluice::config::CheckFiles(*config); !status.ok()) return Fail(status);
    if (const auto status = sluice::daemon::CheckContents(*config, sluice::SystemClock()); !status.ok()) return Fail(status);
    std::printf("%s: good\n", path.c_str());
    return 0;
  }
  if (print) {
    std::fputs(sluice::config::PrintConfig(*config).c_str(), stdout);
    return 0;
  }

  RaiseDescriptorLimit();
  // Two arenas are enough for our few busy threads; the default of eight per core costs tens of MiB.
  mallopt(M_ARENA_MAX, 2);
  // Large blocks (a password takes 1 to 64 MiB to verify) go back to the system when they are freed. Without this the first
  // that is freed raises the bound at which blocks are mapped, and the next ones stay.
  mallopt(M_MMAP_THRESHOLD, 512 << 10);
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  spdlog::set_level(spdlog::level::from_str(config->log.level));
  spdlog::flush_on(spdlog::level::info);

  // Blocked before any thread is made, so that only the wait below gets them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  const sluice::SystemClock clock;
  auto daemon = sluice::daemon::Daemon::Start(*config, clock);
  if (!daemon.ok()) return Fail(daemon.status());
  const timespec second{.tv_sec = 1, .tv_nsec = 0};
  int received;
  while ((received = sigtimedwait(&signals, nullptr, &second)) < 0) (*daemon)->Tick();
  spdlog::info("stopping on signal {}", received);
  (*daemon)->Stop();
  spdlog::info("stopped");
  return 0;
}
