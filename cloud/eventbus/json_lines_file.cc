#include "cloud/eventbus/json_lines_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/status.h"

namespace sluice::eventbus {
namespace {

constexpr std::string_view kSuffix = ".jsonl";

absl::Status FileError(const std::string& path, std::string_view what) {
  return absl::UnavailableError(StrCat(path, ": ", what, ": ", std::strerror(errno)));
}

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct Place {
  std::optional<uint64_t> number;   // nothing: noted by a version that never set a file aside
  uint64_t length = 0;
};

std::optional<Place> ParseMark(std::string_view mark) {
  Place place;
  if (mark.empty()) return place;
  if (const size_t colon = mark.find(':'); colon != std::string_view::npos) {
    place.number = Number(mark.substr(0, colon));
    if (!place.number) return std::nullopt;
    mark.remove_prefix(colon + 1);
  }
  const auto length = Number(mark);
  if (!length) return std::nullopt;
  place.length = *length;
  return place;
}

absl::StatusOr<UniqueFd> OpenOrMake(const std::string& path) {
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return FileError(path, "open");
  return file;
}

}  // namespace

JsonLinesFile::JsonLinesFile(JsonLinesOptions options) : options_(std::move(options)) {
  const std::filesystem::path path(options_.path);
  folder_ = path.has_parent_path() ? path.parent_path().string() : ".";
  stem_ = path.filename().string();
  if (stem_.ends_with(kSuffix)) stem_.resize(stem_.size() - kSuffix.size());
}

JsonLinesFile::~JsonLinesFile() { Push().IgnoreError(); }

std::string JsonLinesFile::NameOf(uint64_t number) const {
  const std::string digits = StrCat(number);
  return StrCat(stem_, ".", std::string(6 - std::min<size_t>(digits.size(), 6), '0'), digits, kSuffix);
}

std::string JsonLinesFile::PathOf(uint64_t number) const { return StrCat(folder_, "/", NameOf(number)); }

absl::StatusOr<std::vector<uint64_t>> JsonLinesFile::Numbers() const {
  PosixFileSystem files;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(folder_));
  std::vector<uint64_t> numbers;
  for (std::string_view name : names) {
    if (!name.starts_with(StrCat(stem_, ".")) || !name.ends_with(kSuffix)) continue;
    name.remove_prefix(stem_.size() + 1);
    if (name.size() <= kSuffix.size()) continue;
    name.remove_suffix(kSuffix.size());
    const auto number = Number(name);
    if (number && *number > 0 && NameOf(*number) == StrCat(stem_, ".", name, kSuffix)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

absl::Status JsonLinesFile::Resume(const std::string& mark) {
  const auto noted = ParseMark(mark);
  if (!noted) return absl::DataLossError(StrCat(options_.path, ": the noted place is none: ", mark));
  gathered_.clear();
  length_ = noted->length;
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, Numbers());
  number_ = numbers.empty() ? 1 : numbers.back() + 1;
  if (noted->number && *noted->number < number_) {
    // Set aside after the note: whatever was written to later files is published again. The file of the note takes the
    // place of the newest one; if somebody took it away, that one begins anew.
    PosixFileSystem files;
    length_ = 0;
    for (const uint64_t number : numbers) {
      if (number > *noted->number) RETURN_IF_ERROR(files.Remove(PathOf(number)));
      if (number == *noted->number) {
        RETURN_IF_ERROR(files.Rename(PathOf(number), options_.path));
        length_ = noted->length;
      }
    }
    RETURN_IF_ERROR(files.SyncFolder(folder_));
  }
  number_ = noted->number.value_or(number_);
  ASSIGN_OR_RETURN(file_, OpenOrMake(options_.path));
  struct stat info {};
  if (fstat(file_.get(), &info) != 0) return FileError(options_.path, "stat");
  // Shorter than noted: somebody took the file away or cut it; it goes on at its end.
  length_ = std::min<uint64_t>(length_, static_cast<uint64_t>(info.st_size));
  if (ftruncate(file_.get(), static_cast<off_t>(length_)) != 0) return FileError(options_.path, "truncate");
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
    if (n <= 0) return FileError(options_.path, "write");
    done += static_cast<size_t>(n);
  }
  length_ += done;
  gathered_.clear();
  return absl::OkStatus();
}

absl::Status JsonLinesFile::Flush() {
  RETURN_IF_ERROR(Push());
  if (fdatasync(file_.get()) != 0) return FileError(options_.path, "sync");
  return length_ < options_.max_bytes ? absl::OkStatus() : SetAside();
}

// The next file is made first: when there is no room for one, this one just grows on.
absl::Status JsonLinesFile::SetAside() {
  const std::string next_path = StrCat(options_.path, ".next");
  ASSIGN_OR_RETURN(UniqueFd next, OpenOrMake(next_path));
  if (ftruncate(next.get(), 0) != 0) return FileError(next_path, "truncate");
  PosixFileSystem files;
  // Not there: somebody took it away, or an earlier try got no further than this.
  if (absl::Status aside = files.Rename(options_.path, PathOf(number_)); !aside.ok() && !absl::IsNotFound(aside)) {
    return aside;
  }
  RETURN_IF_ERROR(files.Rename(next_path, options_.path));
  file_ = std::move(next);
  length_ = 0;
  ++number_;
  RETURN_IF_ERROR(files.SyncFolder(folder_));
  return DropOldest();
}

absl::Status JsonLinesFile::DropOldest() {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, Numbers());
  PosixFileSystem files;
  for (size_t i = 0; i + static_cast<size_t>(options_.max_files) <= numbers.size(); ++i) {
    RETURN_IF_ERROR(files.Remove(PathOf(numbers[i])));
  }
  return absl::OkStatus();
}

std::string JsonLinesFile::Mark() const { return StrCat(number_, ":", length_); }

}  // namespace sluice::eventbus
