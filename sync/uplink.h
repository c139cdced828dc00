// Everything between the outbox and the cloud: one stream per queue to the service that owns it (PROTOCOL.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/item.h"
#include "base/random.h"
#include "sync/channel.h"
#include "sync/identity.h"
#include "sync/outbox.h"
#include "sync/retry_policy.h"
#include "sync/sender.h"
#include "sync/tls_probe.h"

namespace sluice::sync {

struct UplinkOptions {
  // host:port. Both shop queues go to the shop service.
  std::string shop_address;
  std::string inventory_address;
  std::string attendance_address;
  std::vector<Queue> queues{kAllQueues.begin(), kAllQueues.end()};
  IdentityFiles identity;
  std::string hardware_id;   // stable over re-imaging where the box has one; decides who may take a lease over
  std::string software;      // for people: name and version
  SenderOptions sender;
  RetryOptions retry;
  ChannelOptions channel;
  int64_t stop_timeout_ms = 2'000;   // what is in flight may still be acknowledged; then the streams are cancelled
  int64_t identity_poll_ms = 2'000;  // how often the identity files are looked at
};

enum class LinkState {
  kStopped,
  kConnecting,   // the stream is being opened, or Welcome is awaited
  kStreaming,
  kWaiting,      // until the next try
  kRefused,      // until the next try on the slow path: the cloud does not want this gateway or its certificate, or an alarm is up
};
std::string_view LinkStateName(LinkState state);

struct QueueStatus {
  Queue queue = Queue::kShopBulk;
  std::string address;
  LinkState link = LinkState::kStopped;
  std::string detail;            // why the last stream ended; empty while streaming
  TlsVerdict::Kind certificates = TlsVerdict::Kind::kNothing;   // whose the link fails over, if it does
  std::string last_alarm;        // stays until the process ends
  std::string last_dead_letter;  // number and reason
  int64_t next_try_ms = 0;       // from now; 0 unless waiting or refused
  uint64_t tries = 0;            // streams opened or not even opened (certificate unreadable)
  uint64_t failures = 0;         // since a stream last proved itself
  SenderFigures figures;
};

// Thread-safe. One thread of its own runs all senders and calls outbox and observer; gRPC's threads only post to it, and so does the
// one that looks why a connection failed.
//
// Identity files may be replaced at any time: streams that are open end in good order and come back with the new ones. If the
// certificate names another shop, another epoch begins first (delivery case 25). Files that cannot be used yet, for one of
// them is still the old one, change nothing for the streams that are open.
class Uplink {
 public:
  // `outbox`, `clock`, `random` and `observer` (may be null) outlive the uplink. InvalidArgument: an address that is
  // missing, or no hardware id. Identity files are read at each try, not here: the daemon starts without them.
  static absl::StatusOr<std::unique_ptr<Uplink>> Create(UplinkOptions options, Outbox& outbox, const Clock& clock,
                                                        Random& random, Observer* observer = nullptr);
  // Stops.
  virtual ~Uplink() = default;

  // Once. The first try of each queue falls within retry.prompt_ms.
  virtual void Start() = 0;
  // Half-closes the streams, takes the acknowledgements that still come and joins the thread: at most
  // stop_timeout_ms + 1 s. Nothing is called afterwards. Idempotent.
  virtual void Stop() = 0;
  // Queues that wait are tried within retry.prompt_ms, unless the cloud said when.
  virtual void SyncNow() = 0;
  // The network interface came up or went down. Up means as much as SyncNow.
  virtual void LinkChanged(bool up) = 0;
  // At most some milliseconds old. In the order of options.queues.
  virtual std::vector<QueueStatus> Status() const = 0;
};

}  // namespace sluice::sync
