// One running service: its store, what applies to it, its bus and its server.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/random.h"
#include "cloud/config.h"

namespace sluice::cloud {

class ServiceNode {
 public:
  // `service`: shop, inventory or attendance. `alarm` gets what a person should see, from any thread. `clock` and
  // `random` outlive it.
  static absl::StatusOr<std::unique_ptr<ServiceNode>> Start(const Config& config, const std::string& service,
                                                            const Clock& clock, Random& random,
                                                            std::function<void(const std::string&)> alarm);
  virtual ~ServiceNode() = default;

  virtual std::string address() const = 0;
  // Streams are told Goodbye, running calls have the configured time, everything committed is published. Blocks.
  virtual void Drain() = 0;
  // One line about what it did.
  virtual std::string Summary() const = 0;
  // The store came back from a backup: gateways are shown a new generation.
  virtual absl::Status NewGeneration() = 0;
};

}  // namespace sluice::cloud
