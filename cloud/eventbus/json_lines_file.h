// The embedded bus as a file: one envelope a line, appended. Follow it with `tail -f`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "cloud/eventbus/event_bus.h"

namespace sluice::eventbus {

// The mark is the file's length. A run that died before it could note its length left lines behind, the last one perhaps
// torn: Resume cuts them off, the relay publishes them again, and the file holds each line once and whole.
class JsonLinesFile final : public Publisher {
 public:
  explicit JsonLinesFile(std::string path) : path_(std::move(path)) {}
  ~JsonLinesFile() override;

  absl::Status Publish(uint64_t position, std::string_view entity, std::string_view envelope_json) override;
  absl::Status Push() override;
  absl::Status Flush() override;
  std::string Mark() const override;
  absl::Status Resume(const std::string& mark) override;

 private:
  const std::string path_;
  UniqueFd file_;
  uint64_t length_ = 0;    // what is written
  std::string gathered_;   // not yet written
};

}  // namespace sluice::eventbus
