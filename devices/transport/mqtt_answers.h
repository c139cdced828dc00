// What becomes of publishes, from any thread to the one that serves the connections.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace sluice::transport {

// Thread-safe. A call into an empty mailbox wakes the loop, the others until it looks do not: a thousand answers cost one wake,
// and the acknowledgements leave together.
class MqttAnswers {
 public:
  // `wake` is called without the lock, perhaps on any thread, never after Close returned.
  explicit MqttAnswers(std::function<void()> wake) : wake_(std::move(wake)) {}

  void Safe(uint64_t token) {
    Put([token](Mail& mail) { mail.safe.push_back(token); });
  }
  // It cannot become safe any more: the client has to send it again.
  void Lost(uint64_t token) {
    Put([token](Mail& mail) { mail.lost.push_back(token); });
  }
  // There may be room again for what had none.
  void Room() {
    Put([](Mail& mail) { mail.room = true; });
  }

  struct Message {
    std::string device, topic, payload;
  };
  void Deliver(Message message) {
    Put([&message](Mail& mail) { mail.messages.push_back(std::move(message)); });
  }
  // Anything else for the loop's thread.
  void Run(std::function<void()> task) {
    Put([&task](Mail& mail) { mail.tasks.push_back(std::move(task)); });
  }

  struct Mail {
    std::vector<uint64_t> safe, lost;
    bool room = false;
    std::vector<Message> messages;
    std::vector<std::function<void()>> tasks;

    bool empty() const { return safe.empty() && lost.empty() && !room && messages.empty() && tasks.empty(); }
  };
  // Exchanges *mail, whose memory is used again, for what has come.
  void Take(Mail* mail) {
    mail->safe.clear();
    mail->lost.clear();
    mail->room = false;
    mail->messages.clear();
    mail->tasks.clear();
    const std::lock_guard lock(mutex_);
    std::swap(mail_, *mail);
    woken_ = false;
  }
  // What comes from now on is dropped.
  void Close() {
    const std::lock_guard waking(waking_);
    const std::lock_guard lock(mutex_);
    closed_ = true;
    mail_ = Mail();
  }

 private:
  template <typename F>
  void Put(F put) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      put(mail_);
      if (std::exchange(woken_, true)) return;
    }
    const std::lock_guard waking(waking_);
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
    }
    wake_();
  }

  const std::function<void()> wake_;
  std::mutex waking_;   // held while wake_ runs; before mutex_

  std::mutex mutex_;
  // Guarded by mutex_.
  Mail mail_;
  bool woken_ = false;
  bool closed_ = false;
};

}  // namespace sluice::transport
