#include "devices/transport/verify_queue.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

namespace sluice::transport {
namespace {

void Wipe(VerifyQueue::Job& job) { OPENSSL_cleanse(job.password.data(), job.password.size()); }

}  // namespace

VerifyQueue::~VerifyQueue() {
  for (Line& line : lines_) std::for_each(line.jobs.begin(), line.jobs.end(), Wipe);
}

void VerifyQueue::Push(Job job) {
  auto line = std::find_if(lines_.begin(), lines_.end(), [&](const Line& one) { return one.address == job.address; });
  if (line == lines_.end()) line = lines_.insert(line, {.address = job.address, .jobs = {}});
  line->jobs.push_back(std::move(job));
}

void VerifyQueue::Withdraw(uint64_t connection) {
  for (auto line = lines_.begin(); line != lines_.end(); ++line) {
    const auto job = std::find_if(line->jobs.begin(), line->jobs.end(),
                                  [connection](const Job& one) { return one.connection == connection; });
    if (job == line->jobs.end()) continue;
    Wipe(*job);
    line->jobs.erase(job);
    if (line->jobs.empty()) lines_.erase(line);
    return;
  }
}

std::optional<VerifyQueue::Job> VerifyQueue::Pop(int64_t now_ms) {
  for (auto line = lines_.begin(); line != lines_.end(); ++line) {
    if (budget_.NextMs(line->address, now_ms) > now_ms) continue;
    budget_.Take(line->address, now_ms);
    Job job = std::move(line->jobs.front());
    line->jobs.pop_front();
    if (line->jobs.empty()) {
      lines_.erase(line);
    } else {
      lines_.splice(lines_.end(), lines_, line);
    }
    return job;
  }
  return std::nullopt;
}

int64_t VerifyQueue::NextMs(int64_t now_ms) const {
  int64_t next_ms = INT64_MAX;
  for (const Line& line : lines_) next_ms = std::min(next_ms, budget_.NextMs(line.address, now_ms));
  return next_ms;
}

size_t VerifyQueue::size() const {
  size_t size = 0;
  for (const Line& line : lines_) size += line.jobs.size();
  return size;
}

}  // namespace sluice::transport
