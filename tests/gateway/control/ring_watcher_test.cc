#include "gateway/control/ring_watcher.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/gateway/control/fake_control_source.h"

namespace sluice::control {
namespace {

using Ring = TestRing<int>;

std::unique_ptr<Stream<v1::TailedEvent>> Open(RingWatcher<Ring>& watcher, size_t last, Wake wake, bool even = false) {
  return watcher.Open<v1::TailedEvent>(last, std::move(wake), [even](int entry) -> std::optional<v1::TailedEvent> {
    if (even && entry % 2 != 0) return std::nullopt;
    v1::TailedEvent event;
    event.set_number(static_cast<uint64_t>(entry));
    return event;
  });
}

std::vector<uint64_t> Drain(Stream<v1::TailedEvent>& stream, uint64_t* dropped = nullptr) {
  std::vector<uint64_t> numbers;
  while (auto event = stream.Next()) {
    numbers.push_back(event->number());
    if (dropped != nullptr) *dropped += event->dropped();
  }
  return numbers;
}

using Numbers = std::vector<uint64_t>;

TEST(RingWatcherTest, BeginsWithTheNewestThatAreWantedAndGoesOn) {
  Ring ring(10);
  RingWatcher<Ring> watcher(ring);
  for (int i = 1; i <= 5; ++i) ring.Add(i);
  auto all = Open(watcher, 2, [] {});
  auto even = Open(watcher, 3, [] {}, /*even=*/true);
  auto none = Open(watcher, 0, [] {});
  EXPECT_EQ(Drain(*all), (Numbers{4, 5}));
  EXPECT_EQ(Drain(*even), (Numbers{2, 4}));
  EXPECT_EQ(Drain(*none), (Numbers{}));
  ring.Add(6);
  for (auto* stream : {&all, &even, &none}) EXPECT_EQ(Drain(**stream), (Numbers{6}));
}

TEST(RingWatcherTest, WakesAStreamThatWaits) {
  Ring ring(10);
  RingWatcher<Ring> watcher(ring);
  std::promise<void> woken;
  auto stream = Open(watcher, 0, [&] { woken.set_value(); });   // a second wake would throw
  EXPECT_EQ(Drain(*stream), (Numbers{}));
  ring.Add(1);
  ASSERT_EQ(woken.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  ring.Add(2);
  EXPECT_EQ(stream->Next()->number(), 1u);
}

TEST(RingWatcherTest, CountsWhatTheRingForgot) {
  Ring ring(4);
  RingWatcher<Ring> watcher(ring);
  auto stream = Open(watcher, 0, [] {});
  for (int i = 1; i <= 10; ++i) ring.Add(i);
  auto first = stream->Next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->number(), 7u);
  EXPECT_EQ(first->dropped(), 6u);
  uint64_t dropped = 0;
  EXPECT_EQ(Drain(*stream, &dropped), (Numbers{8, 9, 10}));
  EXPECT_EQ(dropped, 0u);
}

TEST(RingWatcherTest, NoEntryIsOverlookedByManyStreams) {
  Ring ring(100'000);
  RingWatcher<Ring> watcher(ring);
  constexpr int kEntries = 20'000;
  struct Reader {
    std::mutex mutex;
    std::condition_variable changed;
    bool woken = false;
    std::unique_ptr<Stream<v1::TailedEvent>> stream;
    void Follow() {
      for (uint64_t expected = 1; expected <= kEntries;) {
        if (auto event = stream->Next()) {
          ASSERT_EQ(event->number(), expected++);
          continue;
        }
        std::unique_lock lock(mutex);
        ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return woken; }));
        woken = false;
      }
    }
  };
  std::vector<std::unique_ptr<Reader>> readers;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    readers.push_back(std::make_unique<Reader>());
    Reader* reader = readers.back().get();
    reader->stream = Open(watcher, 0, [reader] {
      const std::lock_guard lock(reader->mutex);
      reader->woken = true;
      reader->changed.notify_one();
    });
  }
  for (auto& reader : readers) threads.emplace_back([&reader] { reader->Follow(); });
  for (int i = 1; i <= kEntries; ++i) {
    ring.Add(i);
    if (i % 16 == 0) std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(RingWatcherTest, AStreamMayGoWhileItWaits) {
  Ring ring(10);
  RingWatcher<Ring> watcher(ring);
  {
    auto stream = Open(watcher, 0, [] { ADD_FAILURE() << "woken after its end"; });
    EXPECT_EQ(Drain(*stream), (Numbers{}));
  }
  std::promise<void> woken;
  auto other = Open(watcher, 0, [&] { woken.set_value(); });
  EXPECT_EQ(Drain(*other), (Numbers{}));
  ring.Add(1);
  woken.get_future().wait();
}

}  // namespace
}  // namespace sluice::control
