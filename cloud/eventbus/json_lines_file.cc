#include "cloud/eventbus/json_lines_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/status.h"

namespace sluice::eventbus {
namespace {

absl::Status FileError(const std::string& path, std::string_view what) {
  return absl::UnavailableError(StrCat(path, ": ", what, ": ", std::strerror(errno)));
}

}  // namespace

JsonLinesFile::~JsonLinesFile() { Push().IgnoreError(); }

absl::Status JsonLinesFile::Resume(const std::string& mark) {
  uint64_t noted = 0;
  if (!mark.empty()) {
    const auto [end, error] = std::from_chars(mark.data(), mark.data() + mark.size(), noted);
    if (error != std::errc() || end != mark.data() + mark.size()) {
      return absl::DataLossError(StrCat(path_, ": the noted length is no number: ", mark));
    }
  }
  file_ = UniqueFd(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file_) return FileError(path_, "open");
  struct stat info {};
  if (fstat(file_.get(), &info) != 0) return FileError(path_, "stat");
  // Shorter than noted: somebody took the file away or cut it; it goes on at its end.
  length_ = std::min<uint64_t>(noted, static_cast<uint64_t>(info.st_size));
  if (ftruncate(file_.get(), static_cast<off_t>(length_)) != 0) return FileError(path_, "truncate");
  gathered_.clear();
  return absl::OkStatus();
}

absl::Status JsonLinesFile::Publish(uint64_t /*position*/, std::string_view /*entity*/, std::string_view envelope_json) {
  gathered_.append(envelope_json);
  gathered_.push_back('\n');
  return absl::OkStatus();
}

absl::Status JsonLinesFile::Push() {
  size_t done = 0;
  while (done < gathered_.size()) {
    const ssize_t n = pwrite(file_.get(), gathered_.data() + done, gathered_.size() - done,
                             static_cast<off_t>(length_ + done));
    if (n < 0 && errno == EINTR) continue;
    // What stays gathered is written again at the same offset.
    if (n <= 0) return FileError(path_, "write");
    done += static_cast<size_t>(n);
  }
  length_ += done;
  gathered_.clear();
  return absl::OkStatus();
}

absl::Status JsonLinesFile::Flush() {
  RETURN_IF_ERROR(Push());
  return fdatasync(file_.get()) == 0 ? absl::OkStatus() : FileError(path_, "sync");
}

std::string JsonLinesFile::Mark() const { return StrCat(length_); }

}  // namespace sluice::eventbus
