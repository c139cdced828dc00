// Streams of gateways over gRPC (sluice.sync.v1.GatewaySync): frames to a Receiver, its replies back.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "cloud/ingest/apply_worker.h"
#include "cloud/ingest/cursor_store.h"
#include "cloud/ingest/receiver.h"
#include "sluice/sync/v1/sync.grpc.pb.h"

namespace sluice::ingest {

struct SyncServiceOptions {
  ReceiverOptions receiver;
  size_t max_streams = 20'000;
  // Read ahead of the store by at most this per stream; beyond it HTTP/2 flow control holds the gateway back.
  size_t max_queued_bytes = 8u << 20;
  int64_t drain_retry_ms = 2'000;      // hint of Goodbye when the service stops
};

class SyncStream;

// Applies on one worker thread; whatever frames of a stream have arrived meanwhile go to the receiver together, so that
// they share a transaction. Under low load a frame is applied at once.
class SyncService final : public sync::v1::GatewaySync::CallbackService {
 public:
  // Who the certificate of the call says it is; an error becomes the stream's status.
  using Identify = std::function<absl::StatusOr<Peer>(const grpc::CallbackServerContext&)>;
  // The store of one stream, which may add what the certificate says to Open.
  using StoreFor = std::function<std::unique_ptr<CursorStore>(const Peer&)>;

  SyncService(SyncServiceOptions options, Identify identify, StoreFor store_for, ApplyWorker& worker,
              const Clock& clock);

  grpc::ServerBidiReactor<sync::v1::ClientFrame, sync::v1::ServerFrame>* Stream(
      grpc::CallbackServerContext* context) override;

  // Tells every stream Goodbye and ends it, and those to come at once.
  void Drain();

 private:
  friend class SyncStream;
  void Forget(const std::shared_ptr<SyncStream>& stream);

  const SyncServiceOptions options_;
  const Identify identify_;
  const StoreFor store_for_;
  ApplyWorker& worker_;
  const Clock& clock_;

  std::mutex mutex_;
  bool draining_ = false;                            // guarded by mutex_
  std::set<std::shared_ptr<SyncStream>> streams_;    // guarded by mutex_
};

}  // namespace sluice::ingest
