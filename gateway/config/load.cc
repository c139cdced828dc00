#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/status.h"
#include "gateway/config/config.h"
#include "gateway/config/visitor.h"

namespace sluice::config {
namespace {

constexpr size_t kMaxConfigBytes = 1u << 20;

class Resolver final : public Visitor {
 public:
  explicit Resolver(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void Section(std::string_view, const std::function<void()>& keys) override { keys(); }
  void Each(std::string_view, size_t count, const std::function<void(size_t)>&,
            const std::function<void(size_t)>& keys) override {
    for (size_t i = 0; i < count; ++i) keys(i);
  }
  void Path(std::string_view, std::string& value, Need) override {
    if (!value.empty() && value.front() != '/') value = (folder_ / value).lexically_normal().string();
  }
  void Text(std::string_view, std::string&, Need, const Rule&) override {}
  void Texts(std::string_view, std::vector<std::string>&, size_t, const Rule&) override {}
  void Integer(std::string_view, int64_t&, int64_t, int64_t) override {}
  void Size(std::string_view, uint64_t&, uint64_t, uint64_t) override {}
  void Flag(std::string_view, bool&) override {}

 private:
  const std::filesystem::path folder_;
};

class FileCheck {
 public:
  void Readable(const std::string& key, const std::string& path) {
    if (!path.empty() && access(path.c_str(), R_OK) != 0) Add(key, path, std::strerror(errno));
  }
  // Holds a secret: nobody but its owner may have any right on it.
  void Secret(const std::string& key, const std::string& path) {
    OneOfModes(key, path, {0600, 0400}, "must have mode 0600 or 0400: run chmod 600 on it");
  }
  // Holds hashes of secrets: its group may read it too.
  void Hashes(const std::string& key, const std::string& path) {
    OneOfModes(key, path, {0640, 0600, 0440, 0400}, "must have mode 0640 or 0600: run chmod 640 on it");
  }
  absl::Status Result() const { return errors_.empty() ? absl::OkStatus() : absl::FailedPreconditionError(errors_); }

 private:
  void OneOfModes(const std::string& key, const std::string& path, std::initializer_list<mode_t> allowed, const char* what) {
    if (path.empty()) return;
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return Add(key, path, std::strerror(errno));
    if (!S_ISREG(info.st_mode)) return Add(key, path, "is not a file");
    if (std::find(allowed.begin(), allowed.end(), info.st_mode & 07777) == allowed.end()) return Add(key, path, what);
    Readable(key, path);
  }
  void Add(const std::string& key, const std::string& path, const std::string& what) {
    errors_ += StrCat(errors_.empty() ? "" : "\n", key, " = \"", path, "\": ", what);
  }
  std::string errors_;
};

}  // namespace

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  ASSIGN_OR_RETURN(Config config, ParseConfig(text, path));
  std::error_code ignored;   // an absolute path of a file that was just read
  Resolver resolver(std::filesystem::absolute(path, ignored).parent_path());
  Describe(resolver, config);
  return config;
}

absl::Status CheckFiles(const Config& config) {
  FileCheck check;
  check.Readable("identity.certificate", config.identity.certificate);
  check.Secret("identity.private_key", config.identity.private_key);
  check.Readable("identity.trust", config.identity.trust);
  for (size_t i = 0; i < config.mqtt.size(); ++i) {
    const std::string at = StrCat("mqtt[", i, "].");
    check.Secret(at + "password_file", config.mqtt[i].password_file);
    check.Readable(at + "ca_file", config.mqtt[i].ca_file);
    check.Readable(at + "certificate_file", config.mqtt[i].certificate_file);
    check.Secret(at + "key_file", config.mqtt[i].key_file);
  }
  for (size_t i = 0; i < config.listener.size(); ++i) {
    const std::string at = StrCat("listener[", i, "].");
    check.Readable(at + "certificate_file", config.listener[i].certificate_file);
    check.Secret(at + "key_file", config.listener[i].key_file);
    check.Readable(at + "client_ca_file", config.listener[i].client_ca_file);
    check.Hashes(at + "password_file", config.listener[i].password_file);
  }
  for (size_t i = 0; i < config.serial.size(); ++i) {
    check.Readable(StrCat("serial[", i, "].profile"), config.serial[i].profile);
  }
  return check.Result();
}

}  // namespace sluice::config
