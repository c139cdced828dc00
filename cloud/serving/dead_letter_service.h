// The operators' methods for dead letters (sluice.ingest.v1.DeadLetters), the same in every service.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "cloud/ingest/sql_cursor_store.h"
#include "cloud/store/store.h"
#include "sluice/ingest/v1/dead_letters.grpc.pb.h"

namespace sluice::serving {

// Thread-safe. Requeue waits for the transaction of the batch that is being applied.
class DeadLetterService final : public ingest::v1::DeadLetters::CallbackService {
 public:
  // Who calls, as the audit is to name him, or why he may not.
  using Authorize = std::function<absl::StatusOr<std::string>(const grpc::CallbackServerContext&)>;

  // `store` and `cursors` outlive it.
  DeadLetterService(store::Store& store, ingest::SqlCursorStore& cursors, Authorize authorize)
      : store_(store), cursors_(cursors), authorize_(std::move(authorize)) {}

  grpc::ServerUnaryReactor* ListDeadLetters(grpc::CallbackServerContext* context,
                                            const ingest::v1::ListDeadLettersRequest* request,
                                            ingest::v1::ListDeadLettersResponse* response) override;
  grpc::ServerUnaryReactor* GetDeadLetter(grpc::CallbackServerContext* context,
                                          const ingest::v1::GetDeadLetterRequest* request,
                                          ingest::v1::GetDeadLetterResponse* response) override;
  grpc::ServerUnaryReactor* RequeueDeadLetter(grpc::CallbackServerContext* context,
                                              const ingest::v1::RequeueDeadLetterRequest* request,
                                              ingest::v1::RequeueDeadLetterResponse* response) override;
  grpc::ServerUnaryReactor* DropDeadLetter(grpc::CallbackServerContext* context,
                                           const ingest::v1::DropDeadLetterRequest* request,
                                           ingest::v1::DropDeadLetterResponse* response) override;

 private:
  store::Store& store_;
  ingest::SqlCursorStore& cursors_;
  const Authorize authorize_;
};

// The methods without the transport. NotFound: no such dead letter (any more). InvalidArgument: an id or page token that is
// none, a drop without a reason.
absl::Status ListDeadLetters(store::Store& store, const ingest::v1::ListDeadLettersRequest& request,
                             ingest::v1::ListDeadLettersResponse& response);
absl::Status GetDeadLetter(store::Store& store, const std::string& id, ingest::v1::GetDeadLetterResponse& response);
absl::Status RequeueDeadLetter(ingest::SqlCursorStore& cursors, const std::string& id, std::string_view who,
                               ingest::v1::RequeueDeadLetterResponse& response);
absl::Status DropDeadLetter(ingest::SqlCursorStore& cursors, const ingest::v1::DropDeadLetterRequest& request,
                            std::string_view who);

}  // namespace sluice::serving
