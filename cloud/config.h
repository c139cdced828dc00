// Configuration of sluice-cloud: a TOML file, flags over it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cloud/serving/server.h"

namespace sluice::cloud {

inline constexpr std::string_view kServices[] = {"shop", "inventory", "attendance"};

struct Config {
  std::vector<std::string> services = {"shop", "inventory", "attendance"};
  std::string data_dir;
  std::string trust_domain;
  serving::TlsFiles tls;
  std::map<std::string, std::string> listen = {{"shop", "127.0.0.1:50051"},
                                               {"inventory", "127.0.0.1:50052"},
                                               {"attendance", "127.0.0.1:50053"}};
  std::string ports_file;              // empty: none
  uint64_t credit_items = 16'384;      // sent by a gateway on a queue and not yet acknowledged
  uint64_t credit_bytes = 6u << 20;
  int64_t lease_ms = 300'000;
  int64_t drain_ms = 5'000;            // running calls at the end
  // What is let go; days are days of service (cloud/retention), 0: for ever.
  int64_t bus_days = 7;
  int64_t audit_days = 400;
  uint64_t bus_file_bytes = 64u << 20;
  int64_t bus_files = 8;               // of each service, the one that is written included
  std::string log_level = "info";
};

// Reads `toml` (from file `name`) over `config`. InvalidArgument names file, line and key; unknown keys are refused.
absl::Status ReadToml(std::string_view toml, const std::string& name, Config& config);
// That everything needed is there and makes sense.
absl::Status Check(const Config& config);

}  // namespace sluice::cloud
