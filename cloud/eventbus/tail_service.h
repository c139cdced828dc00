// The embedded bus as a stream (sluice.bus.v1.EventBus).
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "cloud/store/store.h"
#include "sluice/bus/v1/bus.grpc.pb.h"

namespace sluice::eventbus {

class TailStream;

// Streams that follow are woken by commits. Any number of them; each reads pages of its own and goes at its reader's
// pace, so a slow reader costs nothing but its place.
class TailService final : public bus::v1::EventBus::CallbackService {
 public:
  using Authorize = std::function<grpc::Status(const grpc::CallbackServerContext&)>;

  // `store` outlives it. Before the store's first Write.
  TailService(store::Store& store, Authorize authorize);
  ~TailService() override;

  grpc::ServerWriteReactor<bus::v1::TailResponse>* Tail(grpc::CallbackServerContext* context,
                                                        const bus::v1::TailRequest* request) override;

  // Ends every stream that follows, and those to come.
  void Drain();

 private:
  friend class TailStream;
  void Run();
  void Forget(const std::shared_ptr<TailStream>& stream);

  store::Store& store_;
  const Authorize authorize_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false, stop_ = false, draining_ = false;   // guarded by mutex_
  std::set<std::shared_ptr<TailStream>> streams_;           // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice::eventbus
