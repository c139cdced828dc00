#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/judge/lines.h"
#include "tests/judge/readers.h"

namespace sluice::judge {
namespace {

// Picks eventId, eventType and data.origin out of an envelope without building it.
class Envelope {
 public:
  using Json = nlohmann::json;

  bool null() { return Value(); }
  bool boolean(bool) { return Value(); }
  bool number_integer(Json::number_integer_t value) { return Number(static_cast<uint64_t>(value), value >= 0); }
  bool number_unsigned(Json::number_unsigned_t value) { return Number(value, true); }
  bool number_float(Json::number_float_t, const std::string&) { return Value(); }
  bool binary(Json::binary_t&) { return Value(); }
  bool string(std::string& value) {
    if (depth_ == 1 && key_ == "eventId") id.swap(value);
    else if (depth_ == 1 && key_ == "eventType") type.swap(value);
    else if (in_origin_ && depth_ == 3 && key_ == "deviceId") device.swap(value);
    else if (in_origin_ && depth_ == 3 && key_ == "kind") kind.swap(value);
    return Value();
  }
  bool key(std::string& name) {
    key_.swap(name);
    return true;
  }
  bool start_object(size_t) {
    ++depth_;
    if (depth_ == 2) in_data_ = key_ == "data";
    if (depth_ == 3 && in_data_ && key_ == "origin") in_origin_ = origin = true;
    key_.clear();
    return true;
  }
  bool end_object() {
    if (depth_ == 3) in_origin_ = false;
    if (depth_ == 2) in_data_ = false;
    --depth_;
    return true;
  }
  bool start_array(size_t) {
    ++depth_;
    key_.clear();
    return true;
  }
  bool end_array() {
    --depth_;
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) { return false; }

  std::string id, type, device, kind;
  uint64_t boot = 0, seq = 0;
  bool origin = false, has_boot = false, has_seq = false;

 private:
  bool Value() { return true; }
  bool Number(uint64_t value, bool fits) {
    if (!in_origin_ || depth_ != 3 || !fits) return true;
    if (key_ == "boot") boot = value, has_boot = true;
    if (key_ == "seq") seq = value, has_seq = true;
    return true;
  }

  int depth_ = 0;
  bool in_data_ = false;
  bool in_origin_ = false;
  std::string key_;
};

// In the order of their lines: <name>.<number>.jsonl, which were set aside, then <name>.jsonl, as far as they are there.
std::vector<std::string> PathsOf(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path newest(path);
  const std::string begin = newest.stem().string() + ".";
  std::vector<std::pair<uint64_t, std::string>> numbered;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(newest.parent_path(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(begin) || !name.ends_with(".jsonl") || name.size() < begin.size() + 7) continue;
    const std::string digits = name.substr(begin.size(), name.size() - begin.size() - 6);
    if (digits.find_first_not_of("0123456789") != std::string::npos || digits.size() > 18) continue;
    numbered.emplace_back(std::stoull(digits), entry.path().string());
  }
  std::sort(numbered.begin(), numbered.end());
  std::vector<std::string> paths;
  for (auto& [number, one] : numbered) paths.push_back(std::move(one));
  if (fs::exists(newest, ignored)) paths.push_back(path);
  return paths;
}

struct BusFile {
  std::string path;
  OpenFile file;
};

// All are open before one is read: what is set aside or dropped from then on stays what it was.
bool OpenBus(const std::string& path, std::vector<BusFile>& files, std::string& error) {
  for (;;) {
    const std::vector<std::string> paths = PathsOf(path);
    files.clear();
    bool changed = false;
    for (const std::string& one : paths) {
      OpenFile file = OpenToRead(one, error);
      if (!file && errno != ENOENT) return false;
      changed |= !file;
      files.push_back({one, std::move(file)});
    }
    if (!changed && PathsOf(path) == paths) return true;
  }
}

bool ReadBusFile(std::FILE* file, const std::string& path, Tally& tally, std::string& error) {
  bool torn = false;
  const bool read = ForEachLine(
      file, path,
      [&](std::string_view line) {
        Envelope envelope;
        if (!nlohmann::json::sax_parse(line, &envelope) || envelope.id.empty() || envelope.type.empty()) {
          // Beginning afresh after a crash may leave half a line behind; what it told comes again.
          ++tally.notes.torn_lines;
        } else if (envelope.origin && envelope.has_boot && envelope.has_seq && !envelope.device.empty()) {
          tally.Event(envelope.type, envelope.id, envelope.device, envelope.boot, envelope.seq, KindOf(envelope.kind));
        }
      },
      torn, error);
  if (torn) ++tally.notes.torn_lines;
  return read;
}

}  // namespace

bool ReadBus(const std::string& path, Tally& tally, std::string& error) {
  std::vector<BusFile> files;
  if (!OpenBus(path, files, error)) return false;
  bool read = true;
  for (const BusFile& one : files) read = read && ReadBusFile(one.file.get(), one.path, tally, error);
  return read;
}

}  // namespace sluice::judge
