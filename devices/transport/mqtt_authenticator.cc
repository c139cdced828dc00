#include "devices/transport/mqtt_authenticator.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/strings.h"

namespace sluice::transport {
namespace {

// More is nobody's password, and no device's name (base/password_file.h): it would only cost time and memory.
constexpr size_t kMaxPasswordBytes = 1024;
constexpr size_t kMaxUserBytes = 64;

int64_t NowMs() {
  using std::chrono::milliseconds;
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

MqttAuthenticator::MqttAuthenticator(const std::string& password_file, FailureBackoff::Options failures,
                                     VerifyQueue::Options verifications, int64_t look_every_ms, Random& random, Events events)
    : look_every_ms_(look_every_ms),
      events_(std::move(events)),
      passwords_(password_file.empty() ? nullptr : std::make_unique<DevicePasswords>(password_file, random)),
      failures_(failures),
      queue_(verifications) {}

MqttAuthenticator::~MqttAuthenticator() { Stop(); }

void MqttAuthenticator::Start() {
  Look();
  thread_ = std::thread([this] { Run(); });
}

void MqttAuthenticator::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::optional<MqttAdmission> MqttAuthenticator::Ask(uint64_t connection, const std::string& address,
                                                    const std::string& certificate_device, const MqttCredentials& credentials,
                                                    int64_t now_ms) {
  using Result = MqttAdmission::Result;
  if (!certificate_device.empty()) return MqttAdmission{.result = Result::kYes, .device = certificate_device};
  if (passwords_ == nullptr || !credentials.has_user_name || !credentials.has_password || credentials.password.empty() ||
      credentials.password.size() > kMaxPasswordBytes || credentials.user_name.size() > kMaxUserBytes) {
    return MqttAdmission{.result = Result::kNoCredentials};
  }
  // First: who was right lately comes in whatever its neighbours behind the same address do. The line before the password: one
  // that changes meanwhile is found to have changed.
  std::string device(credentials.user_name);
  const uint64_t line = LineOf(device);
  if (line != 0 && passwords_->Recall(credentials.user_name, credentials.password)) {
    return MqttAdmission{.result = Result::kYes, .device = std::move(device), .password_line = line, .remembered = true};
  }
  if (failures_.MustWait(address, credentials.user_name, now_ms)) return MqttAdmission{.result = Result::kBackOff};
  {
    const std::lock_guard lock(mutex_);
    queue_.Push({connection, address, std::string(credentials.user_name), std::string(credentials.password)});
  }
  wake_.notify_one();
  return std::nullopt;
}

void MqttAuthenticator::Withdraw(uint64_t connection) {
  const std::lock_guard lock(mutex_);
  queue_.Withdraw(connection);
}

void MqttAuthenticator::Note(const std::string& address, const MqttAdmission& admission, int64_t now_ms) {
  if (admission.result == MqttAdmission::Result::kWrongPassword) failures_.Failed(address, admission.user, now_ms);
}

uint64_t MqttAuthenticator::LineOf(const std::string& device) const {
  return passwords_ == nullptr ? 0 : passwords_->LineOf(device);
}

std::string MqttAuthenticator::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void MqttAuthenticator::Look() {
  if (passwords_ != nullptr) {
    const absl::StatusOr<bool> changed = passwords_->Reload();
    if (!changed.ok() || *changed) {
      const std::lock_guard lock(mutex_);
      trouble_ = changed.ok() ? "" : StrCat("passwords: ", MessageOf(changed.status()));
    }
    if (changed.ok() && *changed) events_.passwords_changed();
  }
  events_.look();
}

void MqttAuthenticator::Run() {
  int64_t next_look_ms = NowMs() + look_every_ms_;
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const int64_t now_ms = NowMs();
    if (now_ms >= next_look_ms) {
      lock.unlock();
      Look();
      next_look_ms = NowMs() + look_every_ms_;
      lock.lock();
    } else if (std::optional<VerifyQueue::Job> job = queue_.Pop(now_ms)) {
      lock.unlock();
      // Before the password is looked at: a line that changes meanwhile is found to have changed.
      const uint64_t line = passwords_->LineOf(job->user);
      const bool right = passwords_->Verify(job->user, job->password) && line != 0;
      OPENSSL_cleanse(job->password.data(), job->password.size());
      MqttAdmission admission{.result = MqttAdmission::Result::kWrongPassword, .user = job->user};
      if (right) admission = {.result = MqttAdmission::Result::kYes, .device = job->user, .user = job->user, .password_line = line};
      events_.verified(job->connection, std::move(admission));
      lock.lock();
      if (right) queue_.WasRight(job->address);
    } else {
      const int64_t wait_ms = std::min(next_look_ms, queue_.NextMs(now_ms)) - now_ms;
      wake_.wait_for(lock, std::chrono::milliseconds(wait_ms));
    }
  }
}

}  // namespace sluice::transport
