// Finds out, beside the uplink's thread, why connections end before the cloud has welcomed us.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "sync/mailbox.h"
#include "sync/tls_probe.h"

namespace sluice::sync {

// For the uplink's thread. Each address is probed at most once a minute under one certificate; until then what was found stands.
class LinkInspector {
 public:
  static constexpr int64_t kStandsUs = 60'000'000;

  // `found` is called as a task of the mailbox, with the address.
  using Found = std::function<void(const std::string& address, const TlsVerdict& verdict)>;
  LinkInspector(std::shared_ptr<Mailbox> mailbox, Found found);
  // Ends a probe that is under way; one that hangs in the resolver is left to itself.
  ~LinkInspector();

  // What was found and stands; null where there is nothing, and then a probe is begun unless one was lately.
  const TlsVerdict* Look(TlsProbe probe, int64_t now_us);
  // The cloud has welcomed us there.
  void Forget(const std::string& address);

 private:
  struct Shared;
  struct Finding {
    std::string certificate;
    int64_t asked_us = 0;
    bool known = false;
    TlsVerdict verdict;
  };

  const std::shared_ptr<Mailbox> mailbox_;
  const Found found_;
  const std::shared_ptr<Shared> shared_;
  std::map<std::string, Finding> findings_;   // by address
};

}  // namespace sluice::sync
