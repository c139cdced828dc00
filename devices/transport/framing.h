// Bytes of a serial line → frames. Pure: the clock is handed in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace sluice::transport {

struct FramingOptions {
  std::string start;           // any of these bytes begins a frame (STX); empty: a frame begins where the last one ended
  std::string end = "\r\n";    // any of these bytes ends it; empty: only silence does (idle_ends)
  size_t length = 0;           // not 0: exactly so many bytes follow the start, whatever they are, and `end` is not looked at
  size_t max_length = 1024;    // bytes between start and end
  int64_t idle_ms = 1000;      // a frame that stops growing for so long is over
  bool idle_ends = false;      // and complete, not half
};

// One frame without its start and end bytes, or bytes that make none.
struct Frame {
  std::string bytes;           // of an error: the first max_length bytes
  absl::Status status;         // InvalidArgument: too long, cut short, or outside of any frame
};

// Not for several threads. Empty frames are skipped, so that "\r\n" may be one end or two.
class Framer {
 public:
  explicit Framer(FramingOptions options) : options_(std::move(options)) {}

  // Appends what became whole to *frames. now_ms: any monotonic clock.
  void Feed(std::string_view bytes, int64_t now_ms, std::vector<Frame>* frames);
  // To be called now and then while nothing comes.
  void Tick(int64_t now_ms, std::vector<Frame>* frames);
  // The port was closed: what is half is told.
  void Close(std::vector<Frame>* frames);

 private:
  enum class State { kOutside, kInside, kSkipping /* too long: until an end or a start */ };

  void TellHalf(std::string_view why, std::vector<Frame>* frames);

  const FramingOptions options_;
  State state_ = State::kOutside;
  std::string partial_;        // of the frame, or of what lies outside of any
  int64_t last_ms_ = 0;
};

}  // namespace sluice::transport
