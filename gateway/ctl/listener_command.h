// `sluicectl listener …`: who may come in to the gateway's own MQTT server with a password. Edits the file; needs no daemon.
#pragma once

#include <istream>
#include <string>

#include "gateway/ctl/session.h"

namespace sluice::ctl {

struct ListenerOptions {
  std::string password_file = "/etc/sluice/listener.passwd";
  std::string device;
  bool replace = false;      // add-device: the device may have a line already
  bool from_stdin = false;   // add-device: the first line of the input is the password
};

// Prints a generated password, once: only its hash is kept.
int RunAddDevice(const Session& session, const ListenerOptions& options, std::istream& in);
int RunRemoveDevice(const Session& session, const ListenerOptions& options);
int RunListDevices(const Session& session, const ListenerOptions& options);

}  // namespace sluice::ctl
