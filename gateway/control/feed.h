// The last messages of something, and readers that follow it: what `tail` reads from.
//
// One bounded memory is shared by all readers; a reader is a position in it. Whoever publishes never waits for a reader:
// when the memory is full its oldest message goes, and readers that had not come to it are told how many they missed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

namespace sluice::control {

// Thread-safe. Readers may outlive the feed; they then find nothing new.
template <typename Entry>
class Feed {
 public:
  struct Limits {
    size_t entries = 1024;
    size_t bytes = 1 << 20;   // as told to Publish; the newest entry is kept whatever its size
  };

  // Called under the feed's lock: must not block and must not call the feed.
  using Wake = std::function<void()>;
  using Filter = std::function<bool(const Entry&)>;

 private:
  struct State;

 public:
  struct Taken {
    Entry entry;
    uint64_t dropped = 0;   // published and forgotten between the entry before and this one (before filtering)
  };

  // Belongs to one thread at a time.
  class Reader {
   public:
    Reader(std::shared_ptr<State> state, Wake wake, Filter filter)
        : state_(std::move(state)), wake_(std::move(wake)), filter_(std::move(filter)) {}
    ~Reader() {
      std::lock_guard lock(state_->mutex);
      state_->readers.erase(this);
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    // The next entry that passes the filter. Nothing: none now, and `wake` is called once when there is one.
    std::optional<Taken> Next() {
      std::lock_guard lock(state_->mutex);
      if (position_ < state_->base) {
        dropped_ += state_->base - position_;
        position_ = state_->base;
      }
      while (position_ < state_->end()) {
        const Entry& entry = state_->At(position_++);
        if (Passes(entry)) return Taken{entry, std::exchange(dropped_, 0)};
      }
      waiting_ = true;
      return std::nullopt;
    }

   private:
    friend class Feed;
    bool Passes(const Entry& entry) const { return !filter_ || filter_(entry); }

    const std::shared_ptr<State> state_;
    const Wake wake_;
    const Filter filter_;
    // Protected by state_->mutex.
    uint64_t position_ = 0;
    uint64_t dropped_ = 0;
    bool waiting_ = false;
  };

  explicit Feed(Limits limits) : state_(std::make_shared<State>()) { state_->limits = limits; }

  // `bytes`: what the entry counts for against the limit. Cheap when nobody reads: one lock, one move.
  void Publish(Entry entry, size_t bytes) {
    std::lock_guard lock(state_->mutex);
    state_->bytes += bytes;
    state_->entries.emplace_back(std::move(entry), bytes);
    while (state_->entries.size() > 1 &&
           (state_->entries.size() > state_->limits.entries || state_->bytes > state_->limits.bytes)) {
      state_->bytes -= state_->entries.front().second;
      state_->entries.pop_front();
      ++state_->base;
    }
    for (Reader* reader : state_->readers) {
      if (!reader->waiting_) continue;
      if (!reader->Passes(state_->entries.back().first)) {
        // It has seen everything: what it does not want must not count as missed when it is forgotten.
        reader->position_ = state_->end();
        continue;
      }
      reader->waiting_ = false;
      if (reader->wake_) reader->wake_();
    }
  }

  // A reader that begins with the newest `last` entries that pass the filter. `wake` may be empty.
  std::unique_ptr<Reader> Open(size_t last, Wake wake, Filter filter = nullptr) {
    auto reader = std::make_unique<Reader>(state_, std::move(wake), std::move(filter));
    std::lock_guard lock(state_->mutex);
    reader->position_ = state_->end();
    for (uint64_t at = state_->end(); at > state_->base && last > 0; --at) {
      if (!reader->Passes(state_->At(at - 1))) continue;
      reader->position_ = at - 1;
      --last;
    }
    state_->readers.insert(reader.get());
    return reader;
  }

 private:
  struct State {
    std::mutex mutex;
    Limits limits;
    std::deque<std::pair<Entry, size_t>> entries;
    size_t bytes = 0;
    uint64_t base = 0;   // position of entries.front(); positions are never used again
    std::set<Reader*> readers;

    uint64_t end() const { return base + entries.size(); }
    const Entry& At(uint64_t position) const { return entries[position - base].first; }
  };

  const std::shared_ptr<State> state_;
};

}  // namespace sluice::control
