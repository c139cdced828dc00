// What the simulated devices would have in their own flash: the boot counter and the events no receipt has named yet.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "devices/sim/open_events.h"

namespace sluice::sim {

// One log file `events.log` in the state folder, rewritten at each start and when it has grown. Tab-separated lines:
// `B boot`, `E device boot seq kind body`, `A device boot first last` (closed). A torn last line is ignored.
// Survives a kill of the simulator, not a power cut. Not thread-safe. One process per folder (a lock).
class State {
 public:
  struct Loaded {
    uint64_t last_boot = 0;
    std::map<std::string, std::vector<OpenEvent>> open;  // by device, ascending
  };
  // Makes the folder if it is missing.
  absl::StatusOr<Loaded> Open(const std::string& folder);
  bool enabled() const { return static_cast<bool>(fd_); }

  void Boot(uint64_t boot);
  void Keep(std::string_view device, const OpenEvent& event);
  void Closed(std::string_view device, uint64_t boot, uint64_t first, uint64_t last);
  // Must be called before an event that was kept is sent.
  absl::Status Flush();

  bool Grown() const { return size_ > kRewriteAt && size_ > 4 * size_after_rewrite_; }
  // Starts a new file with `boot` and what `list` passes to its argument.
  absl::Status Rewrite(uint64_t boot,
                       const std::function<void(const std::function<void(std::string_view, const OpenEvent&)>&)>& list);

 private:
  static constexpr uint64_t kRewriteAt = 64 << 20;

  absl::Status Write(int fd);

  std::string path_;
  UniqueFd lock_;
  UniqueFd fd_;
  std::string buffer_;
  uint64_t size_ = 0;
  uint64_t size_after_rewrite_ = 0;
};

}  // namespace sluice::sim
