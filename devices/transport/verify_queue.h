// Whose password is verified next. Pure: time is handed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>

#include "devices/transport/address_budget.h"

namespace sluice::transport {

// For one thread. Monotonic milliseconds.
//
// Addresses have their turn one after the other, so that none waits for another's crowd; within an address the first comes
// first. Verifications that found a wrong password are paced by address, whatever the names: who uses up his budget waits, and
// so do those behind the same address, but in line with him and not for ever. Who was right costs nothing of it.
class VerifyQueue {
 public:
  struct Options {
    double per_second = 2;   // wrong ones of an address, sustained
    double burst = 20;
  };
  struct Job {
    uint64_t connection = 0;
    std::string address, user, password;
  };

  explicit VerifyQueue(const Options& options) : budget_(options.per_second, options.burst) {}
  ~VerifyQueue();   // wipes the passwords

  void Push(Job job);
  // The client is gone, and nobody wants to know any more.
  void Withdraw(uint64_t connection);
  // The one whose turn it is; nothing: none is due now.
  std::optional<Job> Pop(int64_t now_ms);
  // When Pop has one: now_ms or later; INT64_MAX: when another was pushed.
  int64_t NextMs(int64_t now_ms) const;
  // What Pop gave last for this address was right.
  void WasRight(const std::string& address) { budget_.GiveBack(address); }

  size_t size() const;

 private:
  struct Line {
    std::string address;
    std::deque<Job> jobs;   // not empty
  };
  std::list<Line> lines_;   // whose turn comes first stands first
  AddressBudget budget_;
};

}  // namespace sluice::transport
