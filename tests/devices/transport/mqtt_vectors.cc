#include "tests/devices/transport/mqtt_vectors.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "tests/devices/transport/mqtt_describe.h"

namespace sluice::transport {
namespace {

constexpr size_t kMaxPacket = 64u << 10;

// Hex digits, and text in quotes.
std::string Bytes(const std::string& line) {
  std::string out;
  for (size_t i = 0; i < line.size();) {
    if (line[i] == '"') {
      const size_t end = line.find('"', i + 1);
      if (end == std::string::npos) throw std::runtime_error("no closing quote: " + line);
      out += line.substr(i + 1, end - i - 1);
      i = end + 1;
    } else {
      const size_t end = line.find('"', i);
      out += FromHex(line.substr(i, end - i));
      i = end == std::string::npos ? line.size() : end;
    }
  }
  return out;
}

}  // namespace

std::vector<MqttVector> ReadMqttVectors(const std::string& name) {
  const char* source = std::getenv("SLUICE_SOURCE");
  if (source == nullptr) throw std::runtime_error("SLUICE_SOURCE is not set");
  std::ifstream file(std::string(source) + "/tests/devices/transport/mqtt_vectors/" + name);
  if (!file) throw std::runtime_error("cannot read " + name);
  std::vector<MqttVector> vectors;
  std::string line, second, third;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    MqttVector vector;
    vector.name = line;
    std::getline(file, second);
    std::getline(file, third);
    const std::string sender = second.substr(4, 6);
    if (third.size() < 4 || (sender != "client" && sender != "server")) throw std::runtime_error("no vector: " + line);
    vector.level = second[2] == '4' ? MqttLevel::k311 : second[2] == '5' ? MqttLevel::k5 : MqttLevel::kUnknown;
    vector.sender = sender == "client" ? MqttSender::kClient : MqttSender::kServer;
    vector.bytes = Bytes(second.substr(10));
    vector.expected = third.substr(2);
    vectors.push_back(vector);
  }
  return vectors;
}

std::string DecodeInWords(std::string_view bytes, MqttLevel level, MqttSender sender, MqttPacket* packet) {
  MqttFrame frame;
  MqttFault fault;
  size_t need = 0;
  switch (FindMqttFrame(bytes, level, kMaxPacket, &frame, &need, &fault)) {
    case MqttFraming::kMore:
      if (need <= bytes.size()) throw std::logic_error("needs no more than there is");
      return "more";
    case MqttFraming::kFault: return "! " + Describe(fault);
    case MqttFraming::kWhole: break;
  }
  if (frame.size() > bytes.size()) throw std::logic_error("a frame beyond the bytes");
  MqttPacket own;
  if (packet == nullptr) packet = &own;
  if (!DecodeMqtt(frame, level, sender, packet, &fault)) return "! " + Describe(fault);
  return "= " + Describe(*packet);
}

}  // namespace sluice::transport
