#include "cloud/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <functional>
#include <set>

#include "base/status.h"

namespace sluice::cloud {
namespace {

// As the log library spells them; what it does not know it takes for silence.
constexpr std::string_view kLogLevels[] = {"debug", "info", "warn", "error"};

// One table of the file: takes keys by name, then refuses what nobody took.
class Table {
 public:
  Table(const toml::table& table, std::string prefix, const std::string& file)
      : table_(table), prefix_(std::move(prefix)), file_(file) {}

  void Text(const char* key, std::string& out) {
    Take(key, "text", [&](const toml::node& node) {
      const auto value = node.value_exact<std::string>();
      if (value) out = *value;
      return value.has_value();
    });
  }
  template <typename Integer>
  void Number(const char* key, Integer& out, int64_t least, int64_t most) {
    Take(key, StrCat("an integer from ", least, " to ", most), [&](const toml::node& node) {
      const auto value = node.value_exact<int64_t>();
      if (!value || *value < least || *value > most) return false;
      out = static_cast<Integer>(*value);
      return true;
    });
  }
  void Texts(const char* key, std::vector<std::string>& out) {
    Take(key, "a list of texts", [&](const toml::node& node) {
      const toml::array* array = node.as_array();
      if (array == nullptr) return false;
      out.clear();
      for (const toml::node& element : *array) {
        const auto value = element.value_exact<std::string>();
        if (!value) return false;
        out.push_back(*value);
      }
      return true;
    });
  }
  void Sub(const char* key, const std::function<void(Table&)>& read) {
    Take(key, "a table", [&](const toml::node& node) {
      if (node.as_table() == nullptr) return false;
      Table sub(*node.as_table(), StrCat(prefix_, key, "."), file_);
      read(sub);
      if (status_.ok()) status_ = sub.Finish();
      return true;
    });
  }

  absl::Status Finish() {
    for (const auto& [key, node] : table_) {
      if (!status_.ok()) break;
      if (!taken_.contains(std::string(key.str()))) Fail(key.str(), node, "no such key");
    }
    return status_;
  }

 private:
  void Take(const char* key, std::string_view wanted, const std::function<bool(const toml::node&)>& read) {
    taken_.insert(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr || !status_.ok()) return;
    if (!read(*node) && status_.ok()) Fail(key, *node, StrCat("must be ", wanted));
  }
  void Fail(std::string_view key, const toml::node& node, std::string_view what) {
    status_ = absl::InvalidArgumentError(StrCat(file_, ":", node.source().begin.line, ": ", prefix_, key, ": ", what));
  }

  const toml::table& table_;
  const std::string prefix_;
  const std::string& file_;
  std::set<std::string> taken_;
  absl::Status status_;
};

}  // namespace

absl::Status ReadToml(std::string_view text, const std::string& name, Config& config) {
  toml::table parsed;
  try {
    parsed = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(
        StrCat(name, ":", error.source().begin.line, ": ", std::string(error.description())));
  }
  Table root(parsed, "", name);
  root.Texts("services", config.services);
  root.Text("data_dir", config.data_dir);
  root.Text("trust_domain", config.trust_domain);
  root.Text("ports_file", config.ports_file);
  root.Text("log_level", config.log_level);
  root.Number("drain_ms", config.drain_ms, 0, 600'000);
  root.Sub("tls", [&](Table& tls) {
    tls.Text("certificate", config.tls.certificate);
    tls.Text("private_key", config.tls.private_key);
    tls.Text("authorities", config.tls.authorities);
  });
  root.Sub("listen", [&](Table& listen) {
    for (const std::string_view service : kServices) {
      listen.Text(service.data(), config.listen[std::string(service)]);
    }
  });
  root.Sub("sync", [&](Table& sync) {
    sync.Number("credit_items", config.credit_items, 1, 10'000'000);
    sync.Number("credit_bytes", config.credit_bytes, 64 << 10, 1 << 30);
    sync.Number("lease_ms", config.lease_ms, 1'000, 86'400'000);
  });
  root.Sub("retention", [&](Table& retention) {
    retention.Number("bus_days", config.bus_days, 0, 36'500);
    retention.Number("audit_days", config.audit_days, 0, 36'500);
    retention.Number("bus_file_bytes", config.bus_file_bytes, 64 << 10, int64_t{1} << 40);
    retention.Number("bus_files", config.bus_files, 2, 10'000);
  });
  return root.Finish();
}

absl::Status Check(const Config& config) {
  if (config.services.empty()) return absl::InvalidArgumentError("services: none; choose of shop, inventory, attendance");
  std::set<std::string> seen;
  for (const std::string& service : config.services) {
    if (std::find(std::begin(kServices), std::end(kServices), service) == std::end(kServices)) {
      return absl::InvalidArgumentError(
          StrCat("services: \"", service, "\" is none; choose of shop, inventory, attendance"));
    }
    if (!seen.insert(service).second) return absl::InvalidArgumentError(StrCat("services: ", service, " twice"));
    const std::string& address = config.listen.at(service);
    const size_t colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
      return absl::InvalidArgumentError(StrCat("listen.", service, ": \"", address, "\" is not host:port"));
    }
  }
  if (config.data_dir.empty()) return absl::InvalidArgumentError("data_dir (--data): missing");
  if (std::find(std::begin(kLogLevels), std::end(kLogLevels), config.log_level) == std::end(kLogLevels)) {
    return absl::InvalidArgumentError(
        StrCat("log_level: \"", config.log_level, "\" is none; choose of debug, info, warn, error"));
  }
  if (config.trust_domain.empty()) return absl::InvalidArgumentError("trust_domain (--trust-domain): missing");
  return serving::CheckTlsFiles(config.tls);
}

}  // namespace sluice::cloud
