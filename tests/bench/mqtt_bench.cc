// How many publishes at QoS 1 one core takes through codec and sessions: bytes in, handed up, safe, PUBACK bytes out.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/random.h"
#include "devices/transport/mqtt_packet.h"
#include "devices/transport/mqtt_session.h"

namespace {
uint64_t allocations = 0;
}

// Not inlined: GCC would see malloc without its free.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sluice::transport {
namespace {

constexpr size_t kGroup = 64;   // publishes that become safe together

class BenchHost final : public MqttHost {
 public:
  void Authenticate(MqttConnection&, const MqttCredentials&) override {}
  MqttVerdict Publish(uint64_t token, const MqttPublication& publication) override {
    benchmark::DoNotOptimize(publication.payload.data());
    tokens.push_back(token);
    return {};
  }
  void NotTaken(const MqttPublication&, MqttReason, std::string_view) override { std::abort(); }
  bool StoreFull() const override { return false; }
  void DeliveryEnded(uint64_t, const MqttIdentity&, std::string_view, MqttDeliveryEnd, MqttReason) override {}
  void Wake(MqttConnection&) override {}
  std::vector<uint64_t> tokens;
};

// range(0): payload bytes; range(1): level; range(2): user properties.
void BM_PublishQos1(benchmark::State& state) {
  const auto level = static_cast<MqttLevel>(state.range(1));
  BenchHost host;
  SeededRandom random(1);
  auto sessions = MakeMqttSessions({}, host, random);
  auto connection = sessions->Open(1, 0);
  auto identity = std::make_shared<MqttIdentity>();
  identity->device = "vm-0001";
  identity->publish = {"sluice/v1/vm-0001/#"};
  identity->subscribe = {"sluice/v1/vm-0001/ack"};
  MqttConnect connect;
  connect.level = level;
  connect.clean = true;
  connect.client_id = "vm-0001";
  std::string bytes, out;
  EncodeMqtt(connect, &bytes);
  connection->Received(bytes, 0);
  connection->Authenticated(identity, 0);
  bytes.clear();
  MqttSubscribe subscribe;
  subscribe.packet_id = 1;
  subscribe.subscriptions = {{"sluice/v1/vm-0001/ack", 1}};
  EncodeMqtt(subscribe, level, &bytes);
  connection->Received(bytes, 0);
  connection->TakeOutput(&out, 0);

  // Packet ids as a client counts them.
  const std::string payload(static_cast<size_t>(state.range(0)), 'x');
  std::vector<std::string> groups;
  for (uint32_t id = 1; id + kGroup <= 65'536; id += kGroup) {
    std::string& group = groups.emplace_back();
    for (uint32_t i = 0; i < kGroup; ++i) {
      MqttPublish publish;
      publish.topic = "sluice/v1/vm-0001/sale";
      publish.payload = payload;
      publish.qos = 1;
      publish.packet_id = static_cast<uint16_t>(id + i);
      for (int64_t user = 0; user < state.range(2); ++user) publish.properties.AddUser("name", "value");
      EncodeMqtt(publish, level, &group);
    }
  }
  size_t at = 0;
  int64_t now_ms = 0;
  uint64_t before = 0;
  for (auto _ : state) {
    if (at == groups.size()) at = 0;
    connection->Received(groups[at++], ++now_ms);
    for (uint64_t token : host.tokens) sessions->Safe(token, now_ms);
    host.tokens.clear();
    connection->TakeOutput(&out, now_ms);
    if (out.size() != 4 * kGroup) std::abort();
    if (before == 0) before = allocations;   // not those of the first group
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kGroup));
  state.counters["allocations/publish"] =
      static_cast<double>(allocations - before) / (static_cast<double>(state.iterations()) * kGroup);
}
BENCHMARK(BM_PublishQos1)
    ->ArgNames({"payload", "level", "user"})
    ->Args({200, 4, 0})
    ->Args({200, 5, 0})
    ->Args({200, 5, 2})
    ->Args({1000, 5, 0});

void BM_DecodePublish(benchmark::State& state) {
  MqttPublish publish;
  publish.topic = "sluice/v1/vm-0001/sale";
  const std::string payload(200, 'x');
  publish.payload = payload;
  publish.qos = 1;
  publish.packet_id = 7;
  std::string bytes;
  EncodeMqtt(publish, MqttLevel::k5, &bytes);
  MqttFault fault;
  MqttFrame frame;
  size_t need = 0;
  for (auto _ : state) {
    if (FindMqttFrame(bytes, MqttLevel::k5, 65'536, &frame, &need, &fault) != MqttFraming::kWhole) std::abort();
    if (!DecodeMqtt(frame, MqttLevel::k5, MqttSender::kClient, &publish, &fault)) std::abort();
    benchmark::DoNotOptimize(publish.packet_id);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_DecodePublish);

}  // namespace
}  // namespace sluice::transport

BENCHMARK_MAIN();
