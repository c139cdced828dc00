#include "tests/devices/native/listener_power_cut_fixture.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/password_file.h"
#include "base/strings.h"
#include "devices/native/listener_driver.h"
#include "sluice/event/v1/event.pb.h"
#include "tests/fakes/mosquitto_broker.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::native {
namespace {

using fakes::MqttPeer;
using transport::MqttAck;
using transport::MqttReason;
using transport::MqttType;

constexpr uint64_t kBoot = 7;
constexpr size_t kMostDevices = 8;

// The journal's lock is a real file in a real folder of the same name; everything else of it is on the recorded disk.
const std::string& LockFolder() {
  static const fakes::TempFolder folder;
  return folder.path();
}

const std::string& PasswordFilePath() {
  static const fakes::TempFolder folder;
  static const std::string path = [] {
    SystemRandom random;
    const PasswordHash hash = HashPassword("secret", {.log_n = 10, .r = 1, .p = 1}, random).value();
    std::string made = folder / "listener.passwd";
    EXPECT_TRUE(EditPasswordFile(made, [&](std::string text) -> absl::StatusOr<std::string> {
                  for (size_t i = 0; i < kMostDevices; ++i) text = WithPassword(text, Fleet::NameOf(i), hash);
                  return text;
                }).ok());
    return made;
  }();
  return path;
}

// Both classes: sales and alarms are critical, telemetry is bulk.
std::string KindOf(uint64_t seq) { return seq % 3 == 0 ? "telemetry" : seq % 7 == 0 ? "alarm" : "sale"; }

std::string BodyOf(uint64_t seq) {
  const std::string number = StrCat("{\"boot\":", kBoot, ",\"seq\":", seq, ",");
  const std::string kind = KindOf(seq);
  if (kind == "telemetry") return StrCat(number, "\"values\":{\"n\":", seq, "}}");
  if (kind == "alarm") return StrCat(number, "\"code\":\"c\",\"severity\":\"critical\",\"text\":\"", seq, "\"}");
  return StrCat(number, "\"product\":\"p-", seq, "\"}");
}

void ExpectBody(const event::v1::DeviceEvent& event) {
  const uint64_t seq = event.sequence().seq();
  const std::string kind = KindOf(seq);
  if (kind == "telemetry") {
    ASSERT_EQ(event.telemetry().measurements_size(), 1);
    EXPECT_EQ(event.telemetry().measurements(0).number(), static_cast<double>(seq));
  } else if (kind == "alarm") {
    EXPECT_EQ(event.alarm().text(), StrCat(seq));
  } else {
    EXPECT_EQ(event.sale().product_id(), StrCat("p-", seq));
  }
}

}  // namespace

std::string Fleet::NameOf(size_t device) { return StrCat("vm-", device); }

void Fleet::Keep(const Mark& mark) {
  std::vector<Known>& of_device = events[mark.device];
  if (of_device.size() < mark.seq) of_device.resize(mark.seq, Known::kUnsent);
  of_device[mark.seq - 1] = std::max(of_device[mark.seq - 1], mark.known);
}

size_t Fleet::Count(Known at_least) const {
  size_t count = 0;
  for (const auto& of_device : events) {
    count += static_cast<size_t>(std::count_if(of_device.begin(), of_device.end(), [&](Known k) { return k >= at_least; }));
  }
  return count;
}

ShopOnDisk::ShopOnDisk(const Shape& shape, Fleet fleet, fakes::DiskImage image, uint64_t seed)
    : shape_(shape),
      fleet_at_start_(std::move(fleet)),
      disk_(std::move(image), seed + 1),
      dice_(seed),
      flush_seed_(seed + 2),
      fleet_(fleet_at_start_) {
  // A flush takes a card's time, so that an answer that does not wait for it is seen before it ends.
  disk_.SetOnSync([this](const std::string&) -> absl::Status {
    if (!serving_) return absl::OkStatus();
    SeededRandom fate(flush_seed_ + 1000 * ++flushes_);
    std::this_thread::sleep_for(std::chrono::microseconds(200 + fate.Below(2000)));
    return fate.Unit() < shape_.sync_faults ? absl::InternalError("injected: EIO") : absl::OkStatus();
  });
}

void ShopOnDisk::Note(const Mark& mark) {
  const std::lock_guard lock(mu_);
  marks_.push_back(mark);
  disk_.Mark(marks_.size() - 1);
  fleet_.Keep(mark);
  changed_.notify_all();
}

std::vector<Known> ShopOnDisk::EventsOf(size_t device) {
  const std::lock_guard lock(mu_);
  return fleet_.events[device];
}

void ShopOnDisk::OpenJournal() {
  journal::Options options;
  options.folder = LockFolder();
  options.segment_bytes = shape_.segment_bytes;
  options.max_record_bytes = 2 << 10;
  options.min_segments = 2;
  options.max_segments = 4096;   // nothing is delivered, so nothing may go
  auto opened = journal::Journal::Open(options, "gw", "shop", ++ordinal_, disk_, clock_, ids_, nullptr);
  ASSERT_TRUE(opened.ok()) << opened.status();
  journal_ = *std::move(opened);
}

void ShopOnDisk::Open() {
  OpenJournal();
  if (testing::Test::HasFatalFailure()) return;
  journal_->Start(nullptr);
  watch_ = std::make_unique<intake::ClockWatch>(clock_, Id128{}, 0, [] { return true; });
  intake_ = std::make_unique<intake::Intake>(intake::Options{.gateway = "gw", .shop = "shop", .rejects = {}}, *journal_, clock_,
                                             ids_, *watch_, nullptr);
  ASSERT_TRUE(intake_->Restore({}).ok());
  intake_->Start();
  // A port that was free a moment ago; another test may have been quicker.
  for (int i = 0; i < 20; ++i) {
    port_ = fakes::FreePort();
    ListenerSourceConfig config{.name = "shop", .options = {}};
    config.options.bind = StrCat("127.0.0.1:", port_);
    config.options.password_file = PasswordFilePath();
    config.options.connections.per_second = 100'000;
    source_ = MakeListenerSource(std::move(config), *intake_, clock_, ids_);
    ASSERT_TRUE(source_->Start().ok());
    if (source_->Status().state == "listening") break;
    source_->Stop();
  }
  ASSERT_EQ(source_->Status().state, "listening");
  intake_->SetReceiptChannel("listener:shop", source_->receipts());
}

void ShopOnDisk::Close() {
  intake_->Shutdown();
  intake_->SetReceiptChannel("listener:shop", nullptr);
  source_->Stop();
}

bool ShopOnDisk::Greet(MqttPeer& peer, size_t device) {
  peer = MqttPeer();
  if (!peer.net.Connect(port_)) return false;
  const std::string name = Fleet::NameOf(device);
  const auto connack = peer.Connect({.client_id = name, .clean = false, .user_name = name, .password = "secret",
                                     .will_topic = "", .will_payload = "", .session_expiry_s = 3600});
  return connack && connack->reason == MqttReason::kSuccess;
}

bool ShopOnDisk::Send(MqttPeer& peer, size_t device, uint64_t seq, bool again) {
  if (again) {
    ++repeated_;
  } else {
    Note({device, seq, Known::kSent});   // before anybody can have it
  }
  const std::string topic = StrCat("sluice/v1/", Fleet::NameOf(device), "/", KindOf(seq));
  return peer.Publish(topic, BodyOf(seq), static_cast<uint16_t>(seq), Fleet::QosOf(seq), false, again);
}

bool ShopOnDisk::AwaitOne(MqttPeer& peer, size_t device) {
  const auto ack = peer.Expect<MqttAck>();
  if (!ack) return false;
  const uint64_t seq = ack->packet_id;
  if (ack->type == MqttType::kPubcomp) {
    Note({device, seq, Known::kComplete});
    return true;
  }
  EXPECT_LT(static_cast<int>(ack->reason), 0x80) << "refused: " << seq;
  EXPECT_EQ(ack->type, Fleet::QosOf(seq) == 2 ? MqttType::kPubrec : MqttType::kPuback);
  Note({device, seq, Known::kPromised});
  if (ack->type == MqttType::kPuback) return true;
  MqttAck release;
  release.type = MqttType::kPubrel;
  release.packet_id = ack->packet_id;
  return peer.Send(release);
}

void ShopOnDisk::RunDevice(size_t device, uint64_t seed, uint64_t new_events) {
  SeededRandom dice(seed);
  uint64_t next = EventsOf(device).size() + 1;
  const uint64_t last = next + new_events - 1;
  const auto settled = [](uint64_t seq, Known known) {
    return known == Known::kComplete || (known == Known::kPromised && Fleet::QosOf(seq) == 1);
  };
  const auto open = [&] {
    size_t count = 0;
    const std::vector<Known> events = EventsOf(device);
    for (uint64_t seq = 1; seq <= events.size(); ++seq) count += settled(seq, events[seq - 1]) ? 0 : 1;
    return count;
  };
  MqttPeer peer;
  // One connection: what is open first, then more, until it is lost or all is said. False: it was lost.
  const auto talk = [&] {
    if (!Greet(peer, device)) return false;
    const std::vector<Known> events = EventsOf(device);
    for (uint64_t seq = 1; seq <= events.size(); ++seq) {
      if (settled(seq, events[seq - 1])) continue;
      if (events[seq - 1] == Known::kPromised) {
        MqttAck release;
        release.type = MqttType::kPubrel;
        release.packet_id = static_cast<uint16_t>(seq);
        if (!peer.Send(release)) return false;
      } else if (!Send(peer, device, seq, events[seq - 1] == Known::kSent)) {
        return false;
      }
    }
    while (next <= last) {
      for (uint64_t burst = 1 + dice.Below(8); burst > 0 && next <= last; --burst) {
        if (!Send(peer, device, next++, false)) return false;
      }
      if (dice.Below(8) == 0) {
        peer.net.Reset();   // what is under way is open
        return false;
      }
      const size_t leave = dice.Below(4);
      while (open() > leave) {
        if (!AwaitOne(peer, device)) return false;
      }
    }
    while (open() > 0) {
      if (!AwaitOne(peer, device)) return false;
    }
    return true;
  };
  for (int connections = 0; !talk(); ++connections) {
    if (killed_) return;
    ASSERT_LT(connections, 100) << Fleet::NameOf(device) << " is not served: " << peer.net.error();
  }
}

void ShopOnDisk::Live(bool kill) {
  Open();
  if (testing::Test::HasFatalFailure()) return;
  killed_ = false;
  serving_ = true;
  std::vector<std::thread> devices;
  uint64_t planned = 0;
  const size_t promised = fleet_.Count(Known::kPromised);
  for (size_t device = 0; device < fleet_.events.size(); ++device) {
    const uint64_t new_events = shape_.new_events / 2 + dice_.Below(shape_.new_events + 1);
    planned += new_events;
    devices.emplace_back(&ShopOnDisk::RunDevice, this, device, dice_.Below(UINT64_MAX), new_events);
  }
  if (kill) {
    const size_t until = promised + dice_.Below(planned);
    std::unique_lock lock(mu_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return fleet_.Count(Known::kPromised) >= until; });
    lock.unlock();
    disk_.SetDead(true);
    killed_ = true;
    Close();
  }
  for (std::thread& device : devices) device.join();
  if (!kill) Close();
  source_.reset();
  intake_.reset();
  journal_.reset();
  serving_ = false;
  disk_.SetDead(false);
  if (kill || testing::Test::HasFailure()) return;
  EXPECT_EQ(fleet_.Count(Known::kPromised), fleet_.Count(Known::kSent)) << "everything is acknowledged in the end";
  Judge();
}

void ShopOnDisk::Judge() {
  if (journal_ == nullptr) OpenJournal();
  if (testing::Test::HasFatalFailure()) return;
  using Place = std::tuple<EpochId, Queue, uint64_t>;
  std::map<std::pair<std::string, uint64_t>, std::set<Place>> places;
  const absl::Status status = journal_->ReadAll([&](const Item& item) {
    if (item.IsGap()) return true;
    event::v1::DeviceEvent event;
    EXPECT_TRUE(event.ParseFromString(item.bytes));
    EXPECT_EQ(event.sequence().boot(), kBoot);
    ExpectBody(event);
    places[{event.device_id(), event.sequence().seq()}].insert({item.epoch, item.queue, item.first});
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  size_t expected = 0;
  for (size_t device = 0; device < fleet_.events.size(); ++device) {
    for (uint64_t seq = 1; seq <= fleet_.events[device].size(); ++seq) {
      const Known known = fleet_.events[device][seq - 1];
      const auto found = places.find({Fleet::NameOf(device), seq});
      const size_t count = found == places.end() ? 0 : found->second.size();
      expected += count > 0 ? 1 : 0;
      EXPECT_LE(count, 1u) << Fleet::NameOf(device) << " " << seq << " is there under several keys";
      if (known >= Known::kPromised) {
        EXPECT_GE(count, 1u) << Fleet::NameOf(device) << " " << seq << " was acknowledged and is lost";
      }
      if (known == Known::kUnsent) {
        EXPECT_EQ(count, 0u) << Fleet::NameOf(device) << " " << seq << " was never sent";
      }
    }
  }
  EXPECT_EQ(places.size(), expected) << "something is there that nobody sent";
  journal_.reset();
}

}  // namespace sluice::native
