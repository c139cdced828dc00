#include "devices/sim/serial_link.h"

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"

namespace sluice::sim {
namespace {

constexpr size_t kLongestLine = 256 * 1024;

absl::Status Failed(std::string_view what) { return absl::UnavailableError(StrCat(what, ": ", std::strerror(errno))); }

}  // namespace

SerialLink::SerialLink(std::string device, std::string folder, Poller& poller, LinkListener& listener)
    : device_(std::move(device)), path_(folder + "/" + device_), poller_(poller), listener_(listener) {}

SerialLink::~SerialLink() { Close(); }

absl::Status SerialLink::Open() {
  master_ = UniqueFd(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!master_ || grantpt(master_.get()) != 0 || unlockpt(master_.get()) != 0) return Failed("pty");
  char name[128];
  if (ptsname_r(master_.get(), name, sizeof name) != 0) return Failed("pty name");
  slave_ = UniqueFd(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!slave_) return Failed(name);
  // Raw from the first byte: with echo on, our own lines would come back as receipts.
  termios settings{};
  if (tcgetattr(slave_.get(), &settings) != 0) return Failed(name);
  cfmakeraw(&settings);
  if (tcsetattr(slave_.get(), TCSANOW, &settings) != 0) return Failed(name);
  const std::string beside = path_ + ".new";
  unlink(beside.c_str());
  if (symlink(name, beside.c_str()) != 0 || rename(beside.c_str(), path_.c_str()) != 0) return Failed(path_);
  poller_.Watch(master_.get(), this, false);
  listener_.OnUp();
  return absl::OkStatus();
}

void SerialLink::Close() {
  if (!master_) return;
  poller_.Forget(master_.get());
  unlink(path_.c_str());
  master_.Reset();
  slave_.Reset();
}

bool SerialLink::Send(const OpenEvent& event) {
  if (!CanSend()) return false;
  out_ = event.body;
  out_ += '\n';
  Write();
  return true;
}

void SerialLink::Write() {
  const bool waited = !out_.empty();
  size_t done = 0;
  while (done < out_.size()) {
    const ssize_t count = write(master_.get(), out_.data() + done, out_.size() - done);
    if (count <= 0) break;  // full: the poller calls again
    done += static_cast<size_t>(count);
  }
  out_.erase(0, done);
  if (waited) poller_.Watch(master_.get(), this, !out_.empty());
}

void SerialLink::OnReady(bool readable, bool writable) {
  if (readable) Read();
  if (writable) Write();
}

void SerialLink::Read() {
  char chunk[4096];
  ssize_t count;
  while ((count = read(master_.get(), chunk, sizeof chunk)) > 0) in_.append(chunk, static_cast<size_t>(count));
  size_t from = 0;
  for (size_t end; (end = in_.find('\n', from)) != std::string::npos; from = end + 1) {
    const std::string_view line = std::string_view(in_).substr(from, end - from);
    if (!skipping_ && !line.empty() && line.find_first_not_of(" \r") != std::string_view::npos) {
      const absl::StatusOr<Receipt> receipt = ParseAckLine(line);
      if (!absl::IsNotFound(receipt.status())) listener_.OnReceipt(receipt);
    }
    skipping_ = false;
  }
  in_.erase(0, from);
  if (in_.size() > kLongestLine) {
    in_.clear();
    skipping_ = true;
  }
}

}  // namespace sluice::sim
