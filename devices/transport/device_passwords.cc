#include "devices/transport/device_passwords.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <iterator>
#include <utility>

#include "base/status.h"

namespace sluice::transport {
namespace {

void AppendSized(std::string& out, std::string_view text) {
  out += StrCat(text.size(), ":", text);
}

}  // namespace

DevicePasswords::DevicePasswords(std::string path, Random& random)
    : path_(std::move(path)), file_(std::make_shared<PasswordFile>()) {
  random.Fill(key_);
}

absl::StatusOr<bool> DevicePasswords::Reload() {
  const FileStamp now = StampOf(path_);
  {
    const std::lock_guard lock(mutex_);
    if (looked_ && now == stamp_) return false;
  }
  FileStamp stamp = now;
  absl::StatusOr<PasswordFile> read = PasswordFile::Load(path_, &stamp);
  const std::lock_guard lock(mutex_);
  looked_ = true;
  stamp_ = stamp;
  if (!read.ok()) return read.status();
  const bool changed = read->entries() != file_->entries();
  file_ = std::make_shared<const PasswordFile>(*std::move(read));
  return changed;
}

bool DevicePasswords::Recall(std::string_view user, std::string_view password) const {
  const std::shared_ptr<const PasswordFile> known = file();
  const PasswordHash* line = known->Find(user);
  if (line == nullptr) return false;
  const Mac mac = MacOf(user, password, *line);
  const std::lock_guard lock(mutex_);
  return remembered_.contains(mac);
}

bool DevicePasswords::Verify(std::string_view user, std::string_view password) {
  const std::shared_ptr<const PasswordFile> known = file();
  const PasswordHash* line = known->Find(user);
  if (line == nullptr) {
    // Somebody else's line, chosen by the name: by its time nobody learns which names there are.
    PasswordHash other{.cost = kGeneratedPasswordCost, .salt = std::string(16, 's'), .hash = std::string(32, 'h')};
    if (!known->entries().empty()) {
      const Mac mac = MacOf(user, "", other);
      uint64_t draw;
      std::memcpy(&draw, mac.data(), sizeof draw);
      other = std::next(known->entries().begin(), static_cast<ptrdiff_t>(draw % known->entries().size()))->second;
    }
    IsPassword(password, other);
    return false;
  }
  if (!IsPassword(password, *line)) return false;
  const Mac mac = MacOf(user, password, *line);
  const std::lock_guard lock(mutex_);
  if (remembered_.insert(mac).second) {
    order_.push_back(mac);
    if (order_.size() > kRemembered) {
      remembered_.erase(order_.front());
      order_.pop_front();
    }
  }
  return true;
}

uint64_t DevicePasswords::LineOf(std::string_view user) const {
  const std::shared_ptr<const PasswordFile> known = file();
  const PasswordHash* line = known->Find(user);
  if (line == nullptr) return 0;
  const Mac mac = MacOf(user, "", *line);
  uint64_t version;
  std::memcpy(&version, mac.data(), sizeof version);
  return version | 1;
}

size_t DevicePasswords::devices() const { return file()->entries().size(); }

DevicePasswords::Mac DevicePasswords::MacOf(std::string_view user, std::string_view password, const PasswordHash& line) const {
  std::string message;
  AppendSized(message, user);
  AppendSized(message, line.ToString());
  AppendSized(message, password);
  Mac mac{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), reinterpret_cast<const uint8_t*>(message.data()),
       message.size(), mac.data(), &size);
  return mac;
}

std::shared_ptr<const PasswordFile> DevicePasswords::file() const {
  const std::lock_guard lock(mutex_);
  return file_;
}

}  // namespace sluice::transport
