// One or two files of the state folder damaged in any way: it opens, every number is answered for, and no answer is wrong.
#include <cstdlib>
#include <map>

#include "tests/gateway/outbox/outbox_fixture.h"

namespace sluice::outbox {
namespace {

namespace fs = std::filesystem;

class DamageTest : public OutboxTest {
 protected:
  // Two runs that took events; the second is cut short as by kill -9, with some in the database and some in the journal.
  void Collect(bool sealed) {
    journal_options_.max_segments = 5;
    journal_options_.boot.bytes[0] = 1;
    if (sealed) sealer_ = &key_;
    for (int run = 0; run < 2; ++run) {
      Open();
      const EpochId epoch = journal_->epoch().id;
      for (int i = 0; i < 3000; ++i) {
        const Queue queue = kAllQueues[static_cast<size_t>(i) % kQueueCount];
        const uint64_t number = Append(queue);
        expected_[{epoch, queue}][number] = IdOf(appended_);
        if (i == 2400) SpillAll(queue);
      }
      outbox_->Acknowledge(Queue::kShopBulk, epoch, 200);
      ASSERT_TRUE(journal_->Sync().ok());
      if (run == 1) fs::copy(folder_.path(), template_.path(), fs::copy_options::recursive);
      Stop();
    }
    fs::remove(template_ / "journal/journal.lock");
  }

  std::string Damage(SeededRandom& dice) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::string what;
    for (uint64_t n = 1 + dice.Below(2); n > 0; --n) {
      const fs::path& file = files[dice.Below(files.size())];
      if (!fs::is_regular_file(file)) continue;
      const uint64_t size = fs::file_size(file);
      const uint64_t way = dice.Below(8);
      what += StrCat(" ", file.filename().string(), ":", way);
      if (way == 0) fs::resize_file(file, 0);
      if (way == 1) fs::resize_file(file, dice.Below(size + 1));
      if (way == 2) fs::remove(file);
      if (way == 3) fs::resize_file(file, 0), fs::resize_file(file, size);
      std::fstream io(file, std::ios::in | std::ios::out | std::ios::binary);
      const auto write = [&](uint64_t at, const std::string& bytes) {
        io.seekp(static_cast<std::streamoff>(at));
        io << bytes;
      };
      if (way >= 4 && size == 0) continue;
      for (uint64_t m = 1 + dice.Below(20); way == 4 && m > 0; --m) {   // bytes
        write(dice.Below(size), std::string(1, static_cast<char>(dice.Below(256))));
      }
      if (way == 5) write(dice.Below(size / 4096 + 1) * 4096, std::string(4096, '\0'));
      if (way == 6) write(dice.Below(size / 4096 + 1) * 4096, std::string(4096, static_cast<char>(dice.Below(256))));
      if (way == 7) {   // all of it
        std::string garbage(size, '\0');
        dice.Fill({reinterpret_cast<uint8_t*>(garbage.data()), garbage.size()});
        write(0, garbage);
      }
    }
    return what;
  }

  // Whatever is held is read to its end: records are the right ones, gaps cover the rest.
  void CheckAll() {
    for (Queue queue : kAllQueues) {
      for (const auto& held : outbox_->HeldEpochs(queue)) {
        const auto taken = expected_.find({held.epoch.id, queue});
        const std::map<uint64_t, EventId> ids = taken == expected_.end() ? std::map<uint64_t, EventId>() : taken->second;
        uint64_t next = held.acked_to + 1;
        while (next <= held.last) {
          const auto items = outbox_->Read(queue, held.epoch.id, next, {300, 1 << 20});
          ASSERT_TRUE(items.ok()) << QueueName(queue) << " at " << next << ": " << items.status();
          ASSERT_FALSE(items->empty()) << QueueName(queue) << " at " << next << " of " << held.last;
          for (const Item& item : *items) {
            ASSERT_TRUE(item.first <= next && next <= item.last) << item.first << "-" << item.last << " for " << next;
            next = item.last + 1;
            if (item.IsGap()) continue;
            const auto at = ids.find(item.first);
            ASSERT_TRUE(at != ids.end() && at->second == item.id) << QueueName(queue) << " " << item.first;
          }
        }
        outbox_->Acknowledge(queue, held.epoch.id, held.last);
      }
      EXPECT_EQ(outbox_->figures(queue).pending, 0u);
    }
  }

  // Of what was taken and is not acknowledged nothing is passed over in silence.
  void CheckNamed(const std::string& what) {
    for (const auto& [key, ids] : expected_) {
      const auto held = outbox_->HeldEpochs(key.second);
      const auto at = std::find_if(held.begin(), held.end(), [&](const auto& each) { return each.epoch.id == key.first; });
      ASSERT_TRUE(at != held.end()) << what << ": " << QueueName(key.second) << " of an epoch that nobody knows of";
      EXPECT_GE(at->last, ids.rbegin()->first) << what << ": " << QueueName(key.second);
    }
  }

  const Sealer key_{std::array<uint8_t, Sealer::kKeyBytes>{3}};
  fakes::TempFolder template_;
  std::map<std::pair<EpochId, Queue>, std::map<uint64_t, EventId>> expected_;
};

TEST_F(DamageTest, EveryNumberIsAnsweredForWhateverWasDamaged) {
  Collect(true);
  const char* asked = std::getenv("SLUICE_DAMAGES");
  const char* seeded = std::getenv("SLUICE_SEED");
  const int rounds = asked != nullptr ? std::atoi(asked) : 60;
  uint64_t seed = 20'261;
  if (seeded != nullptr) seed = std::strtoull(seeded, nullptr, 10);
  SeededRandom dice(seed);
  for (int round = 0; round < rounds && !HasFatalFailure(); ++round) {
    fs::remove_all(folder_.path());
    fs::copy(template_.path(), folder_.path(), fs::copy_options::recursive);
    const std::string what = StrCat("seed ", seed, " round ", round, ":", Damage(dice));
    SCOPED_TRACE(what);
    const int64_t began = clock_.MonotonicUs();
    Open();
    if (HasFatalFailure()) return;
    EXPECT_EQ(Append(Queue::kInventory), 1u);
    EXPECT_LT(clock_.MonotonicUs() - began, 5'000'000);
    const uint64_t appended = appended_;
    expected_[{journal_->epoch().id, Queue::kInventory}][1] = IdOf(appended);
    CheckNamed(what);
    CheckAll();
    expected_.erase({journal_->epoch().id, Queue::kInventory});
    Stop();
  }
}

}  // namespace
}  // namespace sluice::outbox
