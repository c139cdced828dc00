// The gateway as a simulated device meets it behind a broker. Of one test.
#pragma once

#include <mosquitto.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace sluice::sim {

// Takes events, answers with cumulative receipts, and misbehaves as told.
class FakeGateway {
 public:
  explicit FakeGateway(int port) : client_(mosquitto_new("gateway", true, this)) {
    mosquitto_message_callback_set(client_, [](mosquitto*, void* self, const mosquitto_message* message) {
      static_cast<FakeGateway*>(self)->Take(*message);
    });
    mosquitto_connect_callback_set(client_, [](mosquitto* client, void*, int) {
      mosquitto_subscribe(client, nullptr, "sluice/v1/+/+", 1);
    });
    mosquitto_subscribe_callback_set(client_, [](mosquitto*, void* self, int, int, const int*) {
      static_cast<FakeGateway*>(self)->subscribed_ = true;
    });
    for (int i = 0; i < 100 && mosquitto_connect(client_, "127.0.0.1", port, 30) != MOSQ_ERR_SUCCESS; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the broker is still opening its port
    }
    mosquitto_loop_start(client_);
    while (!subscribed_) std::this_thread::yield();
  }
  ~FakeGateway() {
    mosquitto_disconnect(client_);
    mosquitto_loop_stop(client_, false);
    mosquitto_destroy(client_);
  }

  std::function<bool(const std::string& device, uint64_t seq, int time)> deaf;    // loses what this says
  std::function<bool(const std::string& device, uint64_t seq)> refuse;

  struct Seen {
    std::vector<uint64_t> arrivals;  // heard, in order, resends too
    std::set<uint64_t> taken;
    std::map<uint64_t, int> times;
    std::map<uint64_t, std::string> kinds;
    bool offline = false;
  };
  bool AllOffline() {
    const std::lock_guard lock(mutex_);
    return std::all_of(seen_.begin(), seen_.end(), [](const auto& one) { return one.second.offline; });
  }
  std::map<std::string, Seen> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  void Take(const mosquitto_message& message) {
    const std::string topic = message.topic;
    if (topic.ends_with("/ack")) return;
    const std::string device = topic.substr(10, topic.rfind('/') - 10);
    const auto body = nlohmann::json::parse(std::string(static_cast<char*>(message.payload),
                                                        static_cast<size_t>(message.payloadlen)));
    const std::lock_guard lock(mutex_);
    Seen& seen = seen_[device];
    if (!body.contains("seq")) {
      seen.offline = body.at("state") == "offline";
      return;
    }
    const uint64_t seq = body.at("seq");
    const int time = ++seen.times[seq];
    seen.kinds[seq] = topic.substr(topic.rfind('/') + 1);
    if (deaf && deaf(device, seq, time)) return;
    seen.arrivals.push_back(seq);
    nlohmann::json receipt = {{"boot", body.at("boot")}, {"ranges", nlohmann::json::array()}};
    if (refuse && refuse(device, seq)) {
      receipt["refused"] = {{{"seq", seq}, {"reason", "the test\tsays so"}}};
    } else {
      seen.taken.insert(seq);
    }
    for (auto it = seen.taken.begin(); it != seen.taken.end();) {
      const uint64_t first = *it;
      uint64_t last = first;
      while (++it != seen.taken.end() && *it == last + 1) ++last;
      receipt["ranges"].push_back({first, last});
    }
    const std::string text = receipt.dump();
    mosquitto_publish(client_, nullptr, ("sluice/v1/" + device + "/ack").c_str(), static_cast<int>(text.size()),
                      text.data(), 1, false);
  }

  mosquitto* client_;
  std::atomic<bool> subscribed_ = false;
  std::mutex mutex_;
  std::map<std::string, Seen> seen_;
};

}  // namespace sluice::sim
