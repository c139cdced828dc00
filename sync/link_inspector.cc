#include "sync/link_inspector.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "base/unique_fd.h"

namespace sluice::sync {
namespace {

constexpr auto kStopPatience = std::chrono::milliseconds(500);

}  // namespace

// The thread's, too: it may outlive the inspector, in the resolver.
struct LinkInspector::Shared {
  using Done = std::function<void(const TlsProbe&, TlsVerdict)>;

  UniqueFd cancel{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  std::condition_variable changed;
  // Guarded by mutex:
  std::deque<std::pair<TlsProbe, Done>> jobs;
  bool running = false;
  bool stop = false;

  // Until there is nothing left to probe: such a thread is rarely needed.
  static void Work(const std::shared_ptr<Shared>& self) {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    for (;;) {
      std::pair<TlsProbe, Done> job;
      {
        const std::lock_guard lock(self->mutex);
        if (self->stop || self->jobs.empty()) {
          self->running = false;
          self->changed.notify_all();
          return;
        }
        job = std::move(self->jobs.front());
        self->jobs.pop_front();
      }
      TlsVerdict verdict = ProbeTls(job.first, self->cancel.get());
      const std::lock_guard lock(self->mutex);
      if (!self->stop) job.second(job.first, std::move(verdict));
    }
  }
};

LinkInspector::LinkInspector(std::shared_ptr<Mailbox> mailbox, Found found)
    : mailbox_(std::move(mailbox)), found_(std::move(found)), shared_(std::make_shared<Shared>()) {}

LinkInspector::~LinkInspector() {
  std::unique_lock lock(shared_->mutex);
  shared_->stop = true;
  const uint64_t one = 1;
  if (write(shared_->cancel.get(), &one, sizeof one) < 0) return;
  shared_->changed.wait_for(lock, kStopPatience, [this] { return !shared_->running; });
}

const TlsVerdict* LinkInspector::Look(TlsProbe probe, int64_t now_us) {
  Finding& finding = findings_[probe.address];
  if (finding.certificate == probe.credentials.certificate_pem && now_us - finding.asked_us < kStandsUs) {
    return finding.known ? &finding.verdict : nullptr;
  }
  finding = {.certificate = probe.credentials.certificate_pem, .asked_us = now_us, .known = false, .verdict = {}};
  auto done = [this, mailbox = mailbox_](const TlsProbe& probed, TlsVerdict verdict) {
    mailbox->Post([this, address = probed.address, certificate = probed.credentials.certificate_pem,
                   verdict = std::move(verdict)] {
      const auto found = findings_.find(address);
      if (found == findings_.end() || found->second.certificate != certificate) return;
      found->second.known = true;
      found->second.verdict = verdict;
      found_(address, verdict);
    });
  };
  const std::lock_guard lock(shared_->mutex);
  shared_->jobs.emplace_back(std::move(probe), std::move(done));
  if (!std::exchange(shared_->running, true)) std::thread(Shared::Work, shared_).detach();
  return nullptr;
}

void LinkInspector::Forget(const std::string& address) { findings_.erase(address); }

}  // namespace sluice::sync
