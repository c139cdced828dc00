#include "devices/sim/state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/status.h"
#include "devices/sim/text.h"

namespace sluice::sim {
namespace {

absl::Status SystemError(std::string_view what) {
  return absl::UnavailableError(StrCat("state ", what, ": ", std::strerror(errno)));
}

// Splits at tabs into at most N columns; the last takes the rest.
template <size_t N>
size_t Columns(std::string_view line, std::array<std::string_view, N>& columns) {
  size_t count = 0;
  while (count + 1 < N) {
    const size_t tab = line.find('\t');
    if (tab == std::string_view::npos) break;
    columns[count++] = line.substr(0, tab);
    line.remove_prefix(tab + 1);
  }
  columns[count++] = line;
  return count;
}

using ByNumber = std::map<std::pair<uint64_t, uint64_t>, OpenEvent>;

void Replay(std::string_view line, State::Loaded& loaded, std::map<std::string, ByNumber>& open) {
  std::array<std::string_view, 6> column;
  const size_t count = Columns(line, column);
  uint64_t boot = 0;
  uint64_t seq = 0;
  if (count == 2 && column[0] == "B" && ParseNumber(column[1], boot)) {
    loaded.last_boot = std::max(loaded.last_boot, boot);
  } else if (count == 6 && column[0] == "E" && ParseNumber(column[2], boot) && ParseNumber(column[3], seq)) {
    OpenEvent event{.boot = boot, .seq = seq, .body = std::string(column[5])};
    if (KindFromName(column[4], event.kind)) open[std::string(column[1])].insert({{boot, seq}, std::move(event)});
  } else if (uint64_t last = 0; count == 5 && column[0] == "A" && ParseNumber(column[2], boot) &&
                                ParseNumber(column[3], seq) && ParseNumber(column[4], last)) {
    ByNumber& events = open[std::string(column[1])];
    events.erase(events.lower_bound({boot, seq}), events.upper_bound({boot, last}));
  }
}

}  // namespace

absl::StatusOr<State::Loaded> State::Open(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return absl::UnavailableError(StrCat("state folder ", folder, ": ", error.message()));
  lock_ = UniqueFd(open((folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_) return SystemError(folder + "/lock");
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(StrCat("state folder ", folder, " is in use by another sluice-sim"));
  }
  path_ = folder + "/events.log";

  Loaded loaded;
  std::map<std::string, ByNumber> open;
  std::ifstream file(path_);
  for (std::string line; std::getline(file, line);) {
    if (file.eof()) break;  // no newline at its end: torn
    Replay(line, loaded, open);
  }
  for (auto& [device, events] : open) {
    if (events.empty()) continue;
    std::vector<OpenEvent>& list = loaded.open[device];
    for (auto& [key, event] : events) list.push_back(std::move(event));
  }
  RETURN_IF_ERROR(Rewrite(loaded.last_boot, [&loaded](const auto& keep) {
    for (const auto& [device, events] : loaded.open) {
      for (const OpenEvent& event : events) keep(device, event);
    }
  }));
  return loaded;
}

void State::Boot(uint64_t boot) { Append(buffer_, "B\t", boot, "\n"); }

void State::Keep(std::string_view device, const OpenEvent& event) {
  Append(buffer_, "E\t", device, "\t", event.boot, "\t", event.seq, "\t", KindName(event.kind), "\t", event.body, "\n");
}

void State::Closed(std::string_view device, uint64_t boot, uint64_t first, uint64_t last) {
  Append(buffer_, "A\t", device, "\t", boot, "\t", first, "\t", last, "\n");
}

absl::Status State::Write(int fd) {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t count = write(fd, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError(path_);
    done += static_cast<size_t>(count);
  }
  size_ += buffer_.size();
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status State::Flush() {
  if (!fd_ || buffer_.empty()) return absl::OkStatus();
  return Write(fd_.get());
}

absl::Status State::Rewrite(
    uint64_t boot, const std::function<void(const std::function<void(std::string_view, const OpenEvent&)>&)>& list) {
  const std::string beside = path_ + ".new";
  UniqueFd fresh(open(beside.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!fresh) return SystemError(beside);
  buffer_.clear();
  size_ = 0;
  Boot(boot);
  absl::Status status;
  list([this, &fresh, &status](std::string_view device, const OpenEvent& event) {
    if (event.closed) return;
    Keep(device, event);
    if (buffer_.size() > (1 << 20) && status.ok()) status = Write(fresh.get());
  });
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(Write(fresh.get()));
  if (rename(beside.c_str(), path_.c_str()) != 0) return SystemError(path_);
  fd_ = std::move(fresh);
  size_after_rewrite_ = size_;
  return absl::OkStatus();
}

}  // namespace sluice::sim
