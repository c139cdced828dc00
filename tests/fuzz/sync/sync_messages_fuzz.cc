// What either side of the stream does with hostile frames. The first byte chooses the target, then come frames, each with
// its length in two bytes, high first. In an epoch field one byte stands for the running epoch: a fuzzer guesses no id.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "cloud/ingest/receiver.h"
#include "sync/identity.h"
#include "sync/sender.h"
#include "tests/sync/model_outbox.h"
#include "tests/sync/model_store.h"

namespace sluice::sync {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

std::vector<std::string_view> Frames(std::string_view data) {
  std::vector<std::string_view> frames;
  while (data.size() >= 2) {
    const size_t size = static_cast<uint8_t>(data[0]) * 256u + static_cast<uint8_t>(data[1]);
    frames.push_back(data.substr(2, size));
    data.remove_prefix(std::min(data.size(), 2 + size));
  }
  return frames;
}

void Receive(std::string_view data, bool greeted) {
  ManualClock clock;
  SeededRandom random(1);
  ModelStore store(random);
  ingest::Receiver receiver({.queues = {Queue::kInventory}, .max_epochs = 64}, {.gateway = "g1", .shop = "s1"}, store,
                            clock);
  const std::string running(16, 'b');
  std::vector<v1::ClientFrame> frames;
  if (greeted) {
    v1::Hello* hello = frames.emplace_back().mutable_hello();
    hello->set_protocol(1);
    hello->set_queue(v1::QUEUE_INVENTORY);
    hello->set_gateway("g1");
    hello->set_hardware_id("h");
    v1::HeldEpoch* epoch = hello->add_epochs();
    epoch->set_epoch(running);
    epoch->set_shop("s1");
  }
  for (const std::string_view raw : Frames(data)) {
    v1::ClientFrame frame;
    if (!frame.ParseFromArray(raw.data(), static_cast<int>(raw.size()))) continue;
    if (frame.has_batch() && frame.batch().epoch().size() == 1) frame.mutable_batch()->set_epoch(running);
    frames.push_back(std::move(frame));
  }
  receiver.OnFrames(std::move(frames));
  receiver.OnEnd(true);
  uint64_t last = 0;
  for (const Effect& effect : store.effects()) {
    if (effect.epoch.View() != running) continue;
    Require(effect.number > last);
    last = effect.number;
  }
}

void Send(std::string_view data) {
  SeededRandom random(1);
  ModelOutbox outbox("g1", "s1", random);
  for (int i = 0; i < 40; ++i) outbox.Append(Queue::kInventory, std::string(16, 'e'));
  outbox.SyncAll();
  LinkShare share;
  Sender sender({.pacing = {.max_batch_items = 8}}, Queue::kInventory, outbox, share, nullptr);
  const std::string running(outbox.running().id.View());
  int64_t now = 1;
  if (!sender.Connected({.gateway = "g1", .shop = "s1", .hardware_id = "h"}, now).ok()) return;
  v1::ClientFrame out;
  uint64_t sent = 0;
  for (const std::string_view raw : Frames(data)) {
    for (int i = 0; i < 4; ++i) {
      const auto written = sender.Next(now += 1000, out);
      if (!written.ok() || !*written) break;
      if (out.has_batch()) sent = std::max(sent, out.batch().items(out.batch().items_size() - 1).last());
    }
    v1::ServerFrame frame;
    if (!frame.ParseFromArray(raw.data(), static_cast<int>(raw.size()))) continue;
    if (frame.has_welcome()) {
      for (auto& cursor : *frame.mutable_welcome()->mutable_cursors()) {
        if (cursor.epoch().size() == 1) cursor.set_epoch(running);
        sent = std::max(sent, std::min<uint64_t>(cursor.cursor(), 40));
      }
    }
    if (frame.has_ack() && frame.ack().epoch().size() == 1) frame.mutable_ack()->set_epoch(running);
    if (frame.has_refusal() && frame.refusal().epoch().size() == 1) frame.mutable_refusal()->set_epoch(running);
    if (!sender.OnFrame(frame, now).ok()) break;
  }
  sender.Disconnected(absl::UnavailableError("end"), std::nullopt, now);
  // Nothing is acknowledged that was neither sent nor Welcome's word.
  Require(sent == 40 || !outbox.EverAcknowledged(Queue::kInventory, outbox.running().id, sent + 1));
}

}  // namespace
}  // namespace sluice::sync

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0: sluice::sync::Receive(rest, false); break;
    case 1: sluice::sync::Receive(rest, true); break;
    case 2: sluice::sync::Send(rest); break;
    case 3: (void)sluice::sync::ParseGatewaySpiffeId(rest); break;
    case 4: (void)sluice::sync::IdentityOfCertificate(rest); break;
  }
  return 0;
}
