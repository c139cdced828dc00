// An intake that remembers. Thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <iterator>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "devices/driver.h"

namespace sluice::fakes {

class FakeEventSink final : public devices::EventSink {
 public:
  absl::Status Accept(const std::string& source, const std::string& where, devices::DecodedEvent event) override {
    std::function<absl::Status(const event::v1::DeviceEvent&)> answer;
    {
      std::lock_guard lock(mu_);
      answer = answer_;
    }
    const absl::Status status = answer ? answer(event.event) : absl::OkStatus();
    std::lock_guard lock(mu_);
    if (status.ok()) events_.push_back(std::move(event.event));
    sources_.push_back(source);
    wheres_.push_back(where);
    changed_.notify_all();
    return status;
  }
  // Answered as Accept, ResourceExhausted included; what is taken becomes safe when the test says so.
  absl::Status Offer(const std::string& source, const std::string& where, devices::DecodedEvent& event,
                     devices::SafeCompletion safe) override {
    const absl::Status status = Accept(source, where, event);
    if (!status.ok()) return status;
    {
      std::lock_guard lock(mu_);
      if (!safe_at_once_) {
        unsafe_.push_back(std::move(safe));
        changed_.notify_all();
        return status;
      }
    }
    safe(absl::OkStatus());
    return status;
  }
  void WhenRoom(absl::AnyInvocable<void()> room) override {
    std::lock_guard lock(mu_);
    room_wanted_.push_back(std::move(room));
    changed_.notify_all();
  }
  void Reject(devices::Rejection rejection) override {
    std::lock_guard lock(mu_);
    rejections_.push_back(std::move(rejection));
    changed_.notify_all();
  }
  void CountRetained(const std::string&) override {
    std::lock_guard lock(mu_);
    ++retained_;
    changed_.notify_all();
  }

  // What Accept answers; OK without it. Called without a lock; may block.
  void AnswerWith(std::function<absl::Status(const event::v1::DeviceEvent&)> answer) {
    std::lock_guard lock(mu_);
    answer_ = std::move(answer);
  }

  // Each Offer calls its completion before it returns.
  void SafeAtOnce(bool on) {
    std::lock_guard lock(mu_);
    safe_at_once_ = on;
  }
  // Completes the oldest `count` that wait, on the calling thread; returns how many.
  size_t MakeSafe(size_t count = SIZE_MAX, const absl::Status& status = absl::OkStatus()) {
    std::vector<devices::SafeCompletion> safe;
    {
      std::lock_guard lock(mu_);
      count = std::min(count, unsafe_.size());
      safe.assign(std::make_move_iterator(unsafe_.begin()), std::make_move_iterator(unsafe_.begin() + static_cast<ptrdiff_t>(count)));
      unsafe_.erase(unsafe_.begin(), unsafe_.begin() + static_cast<ptrdiff_t>(count));
    }
    for (auto& done : safe) done(status);
    return count;
  }
  // Tells everybody who waits for room; returns how many.
  size_t TellOfRoom() {
    std::vector<absl::AnyInvocable<void()>> wanted;
    {
      std::lock_guard lock(mu_);
      wanted.swap(room_wanted_);
    }
    for (auto& room : wanted) room();
    return wanted.size();
  }
  bool WaitForUnsafe(size_t count) const {
    return Wait([&] { return unsafe_.size() >= count; });
  }
  bool WaitForRoomWanted() const {
    return Wait([&] { return !room_wanted_.empty(); });
  }

  std::vector<event::v1::DeviceEvent> events() const { return Locked(events_); }
  std::vector<devices::Rejection> rejections() const { return Locked(rejections_); }
  std::vector<std::string> sources() const { return Locked(sources_); }
  std::vector<std::string> wheres() const { return Locked(wheres_); }
  int retained() const { return Locked(retained_); }
  size_t accepts() const { return sources().size(); }

  // Whether it came true in time.
  bool WaitForEvents(size_t count) const {
    return Wait([&] { return events_.size() >= count; });
  }
  bool WaitForRejections(size_t count) const {
    return Wait([&] { return rejections_.size() >= count; });
  }
  bool WaitForRetained(int count) const {
    return Wait([&] { return retained_ >= count; });
  }

 private:
  template <typename Condition>
  bool Wait(Condition condition) const {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, std::chrono::seconds(20), condition);
  }
  template <typename T>
  T Locked(const T& value) const {
    std::lock_guard lock(mu_);
    return value;
  }

  mutable std::mutex mu_;
  mutable std::condition_variable changed_;
  std::function<absl::Status(const event::v1::DeviceEvent&)> answer_;
  std::vector<event::v1::DeviceEvent> events_;
  std::vector<devices::Rejection> rejections_;
  std::vector<std::string> sources_;
  std::vector<std::string> wheres_;
  bool safe_at_once_ = false;
  std::vector<devices::SafeCompletion> unsafe_;
  std::vector<absl::AnyInvocable<void()>> room_wanted_;
  int retained_ = 0;
};

}  // namespace sluice::fakes
