// Which cloud services to ask, and as whom.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace grpc {
class Channel;
}

namespace sluice::ctl {

struct CloudTarget {
  std::string shop, inventory, attendance;       // host:port; empty: not known
  std::string ca_file, cert_file, key_file;      // PEM
  std::string server_name;                       // expected in the services' certificates; empty: the host that was dialled
};

// Fills what is empty in `target` from the "cloud" member of a run.json (format: ARCHITECTURE.md).
absl::Status ReadRunJson(const std::string& path, CloudTarget& target);

struct Service {
  std::string name;      // shop, inventory, attendance
  std::string address;
};
// Those that have an address.
std::vector<Service> KnownServices(const CloudTarget& target);

// A mutual-TLS channel. Connects on the first call. kInvalidArgument where an address or a file is missing.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeCloudChannel(const CloudTarget& target, const Service& service);

}  // namespace sluice::ctl
