// A device on a serial line: a pty whose other end the gateway opens through the symlink DIR/<device>.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "devices/sim/link.h"
#include "devices/sim/poller.h"

namespace sluice::sim {

// Speaks JSON lines: the native body with `device` and `kind`; receipts come back as {"ack":{…}} (ARCHITECTURE.md).
class SerialLink final : public Link {
 public:
  SerialLink(std::string device, std::string folder, Poller& poller, LinkListener& listener);
  ~SerialLink() override;

  // Makes pty and symlink (an older symlink is replaced); the line is up from then on.
  absl::Status Open();

  bool CanSend() const override { return out_.empty(); }
  bool Send(const OpenEvent& event) override;
  void OnReady(bool readable, bool writable) override;
  void Tick(int64_t) override {}
  void Close() override;

 private:
  void Read();
  void Write();

  const std::string device_;
  const std::string path_;
  Poller& poller_;
  LinkListener& listener_;
  UniqueFd master_;
  UniqueFd slave_;  // held, so that the master survives the gateway closing the port
  std::string out_;
  std::string in_;
  bool skipping_ = false;  // inside a line that is too long
};

}  // namespace sluice::sim
