#include "devices/sim/ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/strings.h"
#include "devices/sim/text.h"

namespace sluice::sim {
namespace {

// The value of a member of a body that a family made: no spaces, no escapes in it.
std::string_view ValueOf(std::string_view body, std::string_view name) {
  const std::string key = StrCat("\"", name, "\":");
  const size_t at = body.find(key);
  if (at == std::string_view::npos) return "-";
  std::string_view value = body.substr(at + key.size());
  value = value.substr(0, value.find_first_of(",}"));
  if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
  return value;
}

std::string_view DetailOf(Kind kind, std::string_view body) {
  switch (kind) {
    case Kind::kSale:
    case Kind::kRefill: return ValueOf(body, "quantity");
    case Kind::kStockCount: return ValueOf(body, "level");
    case Kind::kPunch: return ValueOf(body, "direction");
    case Kind::kBreak: return ValueOf(body, "phase");
    case Kind::kStatus:
    case Kind::kTelemetry:
    case Kind::kAlarm:
    case Kind::kPriceChange: break;
  }
  return "-";
}

}  // namespace

absl::Status Ledger::Open(const std::string& path, bool fsync) {
  fd_ = UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!fd_) return absl::UnavailableError(StrCat("ledger ", path, ": ", std::strerror(errno)));
  fsync_ = fsync;
  buffer_.reserve(kFlushAt * 2);
  // A killed simulator may have left half a line: it must not run into our first.
  const off_t size = lseek(fd_.get(), 0, SEEK_END);
  char last = '\n';
  if (size > 0 && pread(fd_.get(), &last, 1, size - 1) == 1 && last != '\n') buffer_ += '\n';
  return absl::OkStatus();
}

void Ledger::Device(std::string_view device, std::string_view transport, std::string_view family) {
  if (fd_) Append(buffer_, "D\t", device, "\t", transport, "\t", family, "\n");
}

void Ledger::Sent(std::string_view device, uint64_t boot, uint64_t seq, Kind kind, int64_t unix_us,
                  std::string_view body) {
  if (fd_) {
    Append(buffer_, "S\t", device, "\t", boot, "\t", seq, "\t", KindName(kind), "\t", unix_us / 1000, "\t",
           unix_us % 1000, "\t", DetailOf(kind, body), "\n");
  }
}

void Ledger::Puback(std::string_view device, uint64_t boot, uint64_t seq) {
  if (fd_) Append(buffer_, "P\t", device, "\t", boot, "\t", seq, "\n");
}

void Ledger::Unheard(std::string_view device, uint64_t boot, uint64_t seq) {
  if (fd_) Append(buffer_, "N\t", device, "\t", boot, "\t", seq, "\n");
}

void Ledger::Received(std::string_view device, const Receipt& receipt) {
  if (!fd_ || receipt.ranges.empty()) return;
  Append(buffer_, "R\t", device, "\t", receipt.boot, "\t");
  const char* comma = "";
  for (const auto& [first, last] : receipt.ranges) {
    Append(buffer_, comma, first, "-", last);
    comma = ",";
  }
  buffer_ += '\n';
}

void Ledger::Refused(std::string_view device, uint64_t boot, uint64_t seq, std::string_view reason) {
  if (!fd_) return;
  Append(buffer_, "X\t", device, "\t", boot, "\t", seq, "\t");
  const size_t from = buffer_.size();
  buffer_ += reason;
  // The reason comes from outside: one line, one column.
  std::replace_if(
      buffer_.begin() + static_cast<std::ptrdiff_t>(from), buffer_.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  buffer_ += '\n';
}

absl::Status Ledger::Flush() {
  if (!fd_ || buffer_.empty()) return absl::OkStatus();
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t count = write(fd_.get(), buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::UnavailableError(StrCat("ledger: ", std::strerror(errno)));
    done += static_cast<size_t>(count);
  }
  buffer_.clear();
  if (fsync_ && fdatasync(fd_.get()) != 0) return absl::UnavailableError(StrCat("ledger sync: ", std::strerror(errno)));
  return absl::OkStatus();
}

}  // namespace sluice::sim
