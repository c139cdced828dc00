// The embedded bus as a file: one envelope a line, appended. Follow it with `tail -F`: at its size it is set aside under a
// number, events.jsonl as events.000001.jsonl and so on, and begins anew.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "cloud/eventbus/event_bus.h"

namespace sluice::eventbus {

struct JsonLinesOptions {
  std::string path;                    // <name>.jsonl; nothing else in its folder is called <name>.<digits>.jsonl
  uint64_t max_bytes = 64u << 20;      // set aside at the first Flush that finds it this long; lines stay whole
  int64_t max_files = 8;               // this one included; of those set aside the oldest goes
};

// The mark is the number that the file will get, and its length. A run that died before it could note them left lines behind,
// the last one perhaps torn, or set the file aside: Resume goes back to the mark, the relay publishes again what followed
// it, and the files hold each line once and whole.
class JsonLinesFile final : public Publisher {
 public:
  explicit JsonLinesFile(JsonLinesOptions options);
  ~JsonLinesFile() override;

  absl::Status Publish(uint64_t position, std::string_view entity, std::string_view envelope_json) override;
  absl::Status Push() override;
  absl::Status Flush() override;
  std::string Mark() const override;
  absl::Status Resume(const std::string& mark) override;

 private:
  std::string NameOf(uint64_t number) const;
  std::string PathOf(uint64_t number) const;
  // Of the files set aside, ascending.
  absl::StatusOr<std::vector<uint64_t>> Numbers() const;
  absl::Status SetAside();
  absl::Status DropOldest();

  const JsonLinesOptions options_;
  std::string folder_, stem_;   // of the path, without .jsonl
  UniqueFd file_;
  uint64_t number_ = 1;         // the file's, once it is set aside
  uint64_t length_ = 0;         // what is written
  std::string gathered_;        // not yet written
};

}  // namespace sluice::eventbus
