// The schema of each service's store: what all services have in common and the service's own.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cloud/store/migration.h"

namespace sluice::cloud {

// `service`: shop, inventory or attendance; InvalidArgument for any other. The service's own component, which bears its
// name, is the last.
absl::StatusOr<std::vector<store::Component>> SchemaOf(const std::string& service);

}  // namespace sluice::cloud
