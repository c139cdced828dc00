#include "gateway/health/warnings.h"

#include "base/strings.h"

namespace sluice::health {

bool Warnings::Raise(std::string_view code, std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    const auto at = standing_.find(code);
    if (at != standing_.end()) {
      at->second.text = text;
      return false;
    }
    standing_.emplace(std::string(code), Warning{std::string(code), std::string(text), clock_.WallMs()});
  }
  counters_.Get(StrCat("warning_", code)).Add();
  return true;
}

bool Warnings::Clear(std::string_view code) {
  const std::lock_guard lock(mutex_);
  const auto at = standing_.find(code);
  if (at == standing_.end()) return false;
  standing_.erase(at);
  return true;
}

std::vector<Warning> Warnings::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<Warning> out;
  out.reserve(standing_.size());
  for (const auto& [code, warning] : standing_) out.push_back(warning);
  return out;
}

bool Warnings::Stands(std::string_view code) const {
  const std::lock_guard lock(mutex_);
  return standing_.contains(code);
}

}  // namespace sluice::health
