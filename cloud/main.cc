// sluice-cloud: the services shop, inventory and attendance, any subset in one process.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/file.h"
#include "base/status.h"
#include "cloud/backup.h"
#include "cloud/config.h"
#include "cloud/service_node.h"

namespace sluice::cloud {
namespace {

// At most one line a second; says how many it held back.
class AlarmLog {
 public:
  explicit AlarmLog(const Clock& clock) : clock_(clock) {}
  void operator()(const std::string& service, const std::string& text) {
    std::lock_guard lock(mutex_);
    const int64_t now = clock_.MonotonicUs();
    if (last_us_ != 0 && now - last_us_ < 1'000'000) {
      ++held_back_;
      return;
    }
    last_us_ = now;
    spdlog::warn("{}: {}{}", service, text, held_back_ > 0 ? StrCat(" (and ", held_back_, " more)") : "");
    held_back_ = 0;
  }

 private:
  const Clock& clock_;
  std::mutex mutex_;
  int64_t last_us_ = 0;
  uint64_t held_back_ = 0;
};

absl::Status Run(const Config& config, bool restored, const sigset_t& ending) {
  // Attendance names people: nothing below the data folder is for others.
  umask(077);
  PosixFileSystem files;
  RETURN_IF_ERROR(WithContext(files.MakeFolder(config.data_dir), "data_dir"));
  SystemClock clock;
  SystemRandom random;
  AlarmLog alarms(clock);
  std::vector<std::unique_ptr<ServiceNode>> nodes;
  nlohmann::json ports;
  for (const std::string& service : config.services) {
    ASSIGN_OR_RETURN(std::unique_ptr<ServiceNode> node,
                     ServiceNode::Start(config, service, clock, random,
                                        [&alarms, service](const std::string& text) { alarms(service, text); }));
    if (restored) RETURN_IF_ERROR(node->NewGeneration());
    spdlog::info("{} listens on {}", service, node->address());
    ports[service] = node->address();
    nodes.push_back(std::move(node));
  }
  if (!config.ports_file.empty()) {
    RETURN_IF_ERROR(WithContext(WriteFileAtomically(config.ports_file, ports.dump() + "\n", 0644), "ports_file"));
  }
  int signal = 0;
  sigwait(&ending, &signal);
  spdlog::info("ending on {}", strsignal(signal));
  for (const auto& node : nodes) node->Drain();
  for (const auto& node : nodes) spdlog::info("{}", node->Summary());
  return absl::OkStatus();
}

absl::Status TakeBackup(const BackupOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<std::string> services, Backup(options));
  for (const std::string& service : services) spdlog::info("{}: backed up to {}", service, options.to);
  return absl::OkStatus();
}

absl::Status PutBack(const RestoreOptions& options) {
  SystemClock clock;
  SystemRandom random;
  ASSIGN_OR_RETURN(const Restored restored, Restore(options, clock, random));
  for (const std::string& service : restored.services) {
    spdlog::info("{}: restored from {}, under a new generation", service, options.from);
  }
  if (!restored.set_aside.empty()) spdlog::info("what was there lies in {}", restored.set_aside);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app{"sluice-cloud: the cloud services that gateways deliver to (shop, inventory, attendance)"};
  std::string file, services, data, certificate, key, authorities, trust_domain, ports_file, log_level;
  std::map<std::string, std::string> listen;
  uint64_t credit_items = 0;
  bool restored = false, check = false;
  app.add_option("--config", file, "TOML file; flags go over it");
  app.add_option("--services", services, "which to run, separated by commas (default: shop,inventory,attendance)");
  app.add_option("--data", data, "folder of the stores and event files");
  for (const std::string_view service : kServices) {
    app.add_option(StrCat("--listen-", service), listen[std::string(service)],
                   StrCat("host:port of ", service, "; port 0: any free one"));
  }
  app.add_option("--cert", certificate, "certificate chain (PEM)");
  app.add_option("--key", key, "private key (PEM), mode 0600");
  app.add_option("--ca", authorities, "authorities that sign the callers' certificates (PEM)");
  app.add_option("--trust-domain", trust_domain, "the SPIFFE trust domain of all identities");
  app.add_option("--ports-file", ports_file, "JSON file of the bound addresses, written once all listen");
  app.add_option("--credit", credit_items, "events a gateway may have under way on a queue");
  app.add_option("--log-level", log_level, "debug, info, warn, error");
  app.add_flag("--restored", restored, "the stores come from a backup: show gateways a new generation");
  app.add_flag("--check", check, "check the configuration and end");

  BackupOptions backup_options;
  CLI::App* backup = app.add_subcommand("backup", "copies the stores in --data while the services run, and ends");
  backup->fallthrough()->add_option("--to", backup_options.to, "folder that is not there yet")->required();
  RestoreOptions restore_options;
  CLI::App* restore = app.add_subcommand("restore", "puts the stores of a backup into --data, and ends");
  restore->fallthrough()->add_option("--from", restore_options.from, "folder that backup made")->required();
  restore->add_flag("--replace", restore_options.replace, "set the stores aside that are there");
  app.require_subcommand(0, 1);
  CLI11_PARSE(app, argc, argv);

  Config config;
  absl::Status status;
  if (!file.empty()) {
    absl::StatusOr<std::string> text = ReadFile(file);
    status = text.ok() ? ReadToml(*text, file, config) : WithContext(text.status(), file);
  }
  const auto over = [](const std::string& flag, std::string& value) {
    if (!flag.empty()) value = flag;
  };
  over(data, config.data_dir);
  over(certificate, config.tls.certificate);
  over(key, config.tls.private_key);
  over(authorities, config.tls.authorities);
  over(trust_domain, config.trust_domain);
  over(ports_file, config.ports_file);
  over(log_level, config.log_level);
  for (const auto& [service, address] : listen) over(address, config.listen[service]);
  if (!services.empty()) config.services = CLI::detail::split(services, ',');
  if (credit_items > 0) config.credit_items = credit_items;
  const bool serve = !backup->parsed() && !restore->parsed();
  if (status.ok() && serve) status = Check(config);
  if (status.ok() && !serve && config.data_dir.empty()) status = absl::InvalidArgumentError("data_dir: not set (--data)");

  spdlog::set_default_logger(spdlog::stderr_logger_mt("sluice-cloud"));
  spdlog::set_level(spdlog::level::from_str(config.log_level));
  if (status.ok() && check) return 0;
  if (status.ok() && !serve) {
    umask(077);
    // Those named, or else whatever is there.
    const std::vector<std::string> named = services.empty() ? std::vector<std::string>{} : config.services;
    backup_options.data_dir = restore_options.data_dir = config.data_dir;
    backup_options.services = restore_options.services = named;
    status = backup->parsed() ? TakeBackup(backup_options) : PutBack(restore_options);
  } else if (status.ok()) {
    // Before any thread: all of them leave the ending signals to sigwait.
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ending, nullptr);
    status = Run(config, restored, ending);
  }
  if (status.ok()) return 0;
  spdlog::error("{}", std::string(MessageOf(status)));
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

}  // namespace
}  // namespace sluice::cloud

int main(int argc, char** argv) { return sluice::cloud::Main(argc, argv); }
