#include "gateway/health/counters.h"

#include <utility>

namespace sluice::health {

Counter& Counters::Get(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto at = counters_.find(name);
  if (at != counters_.end()) return *at->second;
  return *counters_.emplace(std::string(name), std::make_unique<Counter>()).first->second;
}

void Counters::AddSource(std::function<std::map<std::string, int64_t>()> source) {
  const std::lock_guard lock(mutex_);
  sources_.push_back(std::move(source));
}

std::map<std::string, int64_t> Counters::Values() const {
  std::map<std::string, int64_t> values;
  std::vector<std::function<std::map<std::string, int64_t>()>> sources;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, counter] : counters_) values[name] = counter->value();
    sources = sources_;
  }
  for (const auto& source : sources) {
    for (const auto& [name, value] : source()) values[name] += value;
  }
  return values;
}

}  // namespace sluice::health
