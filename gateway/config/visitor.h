// One description of all sections and keys, walked by whoever reads, prints or completes a configuration.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/config.h"

namespace sluice::config {

// What a text may be. Returns what is allowed, in words, if the value is not; empty if it is.
using Rule = std::function<std::string(std::string_view)>;

enum class Need { kOptional /* may be empty */, kRequired };

class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void Section(std::string_view name, const std::function<void()>& keys) = 0;
  // [[name]]: `resize` is told how many there are, then `keys` is called for each.
  virtual void Each(std::string_view name, size_t count, const std::function<void(size_t)>& resize,
                    const std::function<void(size_t)>& keys) = 0;
  virtual void Text(std::string_view key, std::string& value, Need need, const Rule& rule) = 0;
  // An array of texts, each as the rule says.
  virtual void Texts(std::string_view key, std::vector<std::string>& values, size_t most, const Rule& rule) = 0;
  virtual void Path(std::string_view key, std::string& value, Need need) = 0;
  virtual void Integer(std::string_view key, int64_t& value, int64_t low, int64_t high) = 0;
  // Bytes: a number, or a text such as "64 MiB".
  virtual void Size(std::string_view key, uint64_t& value, uint64_t low, uint64_t high) = 0;
  virtual void Flag(std::string_view key, bool& value) = 0;
};

// Every section in the order of config.h, every key with its limits.
void Describe(Visitor& visitor, Config& config);

// What no single key can tell: names used twice, limits that contradict each other. `complain` takes the key's path, as
// "mqtt[0].url", and what is wrong.
void CheckTogether(const Config& config, const std::function<void(const std::string&, const std::string&)>& complain);

}  // namespace sluice::config
