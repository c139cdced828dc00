// Publishes what the outbox table holds, in order, at least once, from a thread of its own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cloud/eventbus/event_bus.h"
#include "cloud/eventbus/fresh_rows.h"
#include "cloud/store/store.h"

namespace sluice::eventbus {

struct RelayOptions {
  std::string publisher = "file";     // its row in bus_relay
  int page = 512;                     // rows read at once
  int64_t note_every_ms = 5'000;      // Flush and note the position this often while there is traffic
  int64_t retry_ms = 1'000;           // after a failure of store or publisher
};

// Woken by commits, never by a poll. What it published since the last note is published again after a crash, under the
// same ids; a publisher with a mark (the file) drops it first, so that nothing is doubled there.
class Relay {
 public:
  // Reads the note and lets the publisher resume. `store`, `publisher` and `fresh` (may be null: all is read from the
  // table) outlive it. `alarm` gets failures, from the relay's thread; publishing goes on by itself when they pass. Call
  // before the store's first Write.
  static absl::StatusOr<std::unique_ptr<Relay>> Start(RelayOptions options, store::Store& store, Publisher& publisher,
                                                      std::function<void(const absl::Status&)> alarm,
                                                      FreshRows* fresh = nullptr);
  // Publishes what is committed, notes it, ends the thread.
  ~Relay();

  // Up to here everything is published (not yet noted).
  int64_t published() const;
  // Blocks until published() >= position or the time is over.
  bool AwaitPublished(int64_t position, int64_t timeout_ms);

 private:
  Relay(RelayOptions options, store::Store& store, Publisher& publisher,
        std::function<void(const absl::Status&)> alarm, FreshRows* fresh);
  void Run();
  absl::Status PublishSome();    // what is committed, as far as memory has it, or a page of the table
  // These set `last` to the position of the last row that the publisher took, and `all` if there is none committed above.
  absl::Status PublishFresh(int64_t after, int64_t& last, bool& all);
  absl::Status PublishPage(int64_t after, int64_t& last, bool& all);
  absl::Status Note();

  const RelayOptions options_;
  store::Store& store_;
  Publisher& publisher_;
  const std::function<void(const absl::Status&)> alarm_;
  FreshRows* const fresh_;

  mutable std::mutex mutex_;
  std::condition_variable wake_, progress_;
  bool stop_ = false;            // guarded by mutex_
  int64_t published_ = 0;        // guarded by mutex_
  int64_t noted_ = 0;            // from here the thread's own
  RowBuffer rows_;
  std::thread thread_;
};

}  // namespace sluice::eventbus
