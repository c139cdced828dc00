#include "devices/transport/framing.h"

#include <utility>

#include "base/strings.h"

namespace sluice::transport {

void Framer::Feed(std::string_view bytes, int64_t now_ms, std::vector<Frame>* frames) {
  Tick(now_ms, frames);
  if (!bytes.empty()) last_ms_ = now_ms;
  const bool has_start = !options_.start.empty();
  for (char byte : bytes) {
    const bool is_start = has_start && options_.start.find(byte) != std::string::npos;
    const bool is_end = options_.end.find(byte) != std::string::npos;
    if (state_ == State::kOutside && !has_start && !is_end) state_ = State::kInside;
    switch (state_) {
      case State::kOutside:
        if (is_start) {
          TellHalf("bytes outside of any frame", frames);
          state_ = State::kInside;
        } else if (has_start && byte != '\r' && byte != '\n' && partial_.size() < options_.max_length) {
          partial_ += byte;   // line breaks between frames are nobody's
        }
        break;
      case State::kInside:
        if (options_.length > 0) {
          partial_ += byte;
          if (partial_.size() < options_.length) break;
          frames->push_back({std::exchange(partial_, {}), absl::OkStatus()});
          state_ = State::kOutside;
        } else if (is_end) {
          if (!partial_.empty()) frames->push_back({std::exchange(partial_, {}), absl::OkStatus()});
          state_ = State::kOutside;
        } else if (is_start) {
          TellHalf("cut short: the next frame began before its end", frames);
        } else if (partial_.size() >= options_.max_length) {
          TellHalf(StrCat("longer than ", options_.max_length, " bytes"), frames);
          state_ = State::kSkipping;
        } else {
          partial_ += byte;
        }
        break;
      case State::kSkipping:
        if (is_start) {
          state_ = State::kInside;
        } else if (is_end) {
          state_ = State::kOutside;
        }
        break;
    }
  }
}

void Framer::Tick(int64_t now_ms, std::vector<Frame>* frames) {
  if (now_ms - last_ms_ < options_.idle_ms) return;
  if (state_ == State::kInside && options_.idle_ends && !partial_.empty()) {
    frames->push_back({std::exchange(partial_, {}), absl::OkStatus()});
  } else {
    TellHalf(state_ == State::kInside ? StrCat("cut short: no end within ", options_.idle_ms, " ms")
                                      : std::string("bytes outside of any frame"),
             frames);
  }
  state_ = State::kOutside;
}

void Framer::Close(std::vector<Frame>* frames) {
  TellHalf("cut short: the port was closed", frames);
  state_ = State::kOutside;
}

void Framer::TellHalf(std::string_view why, std::vector<Frame>* frames) {
  if (partial_.empty()) return;
  frames->push_back({std::exchange(partial_, {}), absl::InvalidArgumentError(StrCat("frame: ", why))});
}

}  // namespace sluice::transport
