#include "cloud/serving/dead_letter_service.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "base/status.h"
#include "cloud/ingest/dead_letters.h"
#include "cloud/ingest/effect.h"
#include "cloud/serving/grpc_status.h"
#include "cloud/serving/paging.h"
#include "sluice/event/v1/event.pb.h"

namespace sluice::serving {
namespace {

using ingest::BuriedRecord;
using ingest::DeadLetterKey;

constexpr size_t kMaxWhy = 1024;

absl::StatusOr<DeadLetterKey> KeyOf(const std::string& id) {
  auto key = DeadLetterKey::Parse(id);
  if (!key) return absl::InvalidArgumentError("id: not <gateway>/<queue>/<epoch>/<number>");
  return *std::move(key);
}

// True: `event` is what the bytes say.
bool Fill(const BuriedRecord& record, event::v1::DeviceEvent& event, ingest::v1::DeadLetter& out) {
  out.set_id(record.key.ToId());
  out.set_gateway_id(record.key.gateway);
  out.set_shop_id(record.shop);
  out.set_queue(std::string(QueueName(record.key.queue)));
  out.set_epoch(record.key.epoch.ToHex());
  out.set_number(record.key.number);
  out.set_reason(record.reason);
  out.set_at_ms(record.at_ms);
  out.set_size(record.bytes.size());
  if (!event.ParseFromString(record.bytes)) return false;
  if (const auto id = EventId::FromBytes(event.event_id())) out.set_event_id(id->ToUuid());
  out.set_device_id(event.device_id());
  out.set_kind(std::string(ingest::KindOf(event)));
  return true;
}

std::string_view OutcomeName(ingest::Requeued::Outcome outcome) {
  switch (outcome) {
    case ingest::Requeued::Outcome::kApplied: return "applied";
    case ingest::Requeued::Outcome::kKept: return "kept";
    case ingest::Requeued::Outcome::kRefused: return "refused";
  }
  return "";
}

// `method` gets who calls.
template <typename Authorize, typename Method>
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const Authorize& authorize, Method method) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<std::string> who = authorize(*context);
  reactor->Finish(ToGrpc(who.ok() ? method(*who) : who.status()));
  return reactor;
}

}  // namespace

absl::Status ListDeadLetters(store::Store& store, const ingest::v1::ListDeadLettersRequest& request,
                             ingest::v1::ListDeadLettersResponse& response) {
  ASSIGN_OR_RETURN(std::string after, PageKey(request.page_token()));
  ASSIGN_OR_RETURN(const ingest::DeadLetterPage page,
                   ingest::ListDeadLetters(store, {.gateway = request.gateway_id(),
                                                   .queue = request.queue(),
                                                   .limit = PageSize(request.page_size()),
                                                   .after = std::move(after)}));
  event::v1::DeviceEvent event;
  for (const BuriedRecord& letter : page.letters) Fill(letter, event, *response.add_dead_letters());
  if (!page.next.empty()) response.set_next_page_token(PageToken(page.next));
  return absl::OkStatus();
}

absl::Status GetDeadLetter(store::Store& store, const std::string& id, ingest::v1::GetDeadLetterResponse& response) {
  ASSIGN_OR_RETURN(const DeadLetterKey key, KeyOf(id));
  BuriedRecord record;
  RETURN_IF_ERROR(store.Read([&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(record, ingest::FindDeadLetter(transaction, key));
    return absl::OkStatus();
  }));
  event::v1::DeviceEvent event;
  if (Fill(record, event, *response.mutable_dead_letter())) {
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    // What it cannot write is seen in the bytes.
    if (!google::protobuf::util::MessageToJsonString(event, response.mutable_event_json(), options).ok()) {
      response.clear_event_json();
    }
  }
  response.set_record(std::move(record.bytes));
  return absl::OkStatus();
}

absl::Status RequeueDeadLetter(ingest::SqlCursorStore& cursors, const std::string& id, std::string_view who,
                               ingest::v1::RequeueDeadLetterResponse& response) {
  ASSIGN_OR_RETURN(const DeadLetterKey key, KeyOf(id));
  ASSIGN_OR_RETURN(ingest::Requeued requeued, cursors.Requeue(key, who));
  response.set_outcome(std::string(OutcomeName(requeued.outcome)));
  response.set_reason(std::move(requeued.reason));
  return absl::OkStatus();
}

absl::Status DropDeadLetter(ingest::SqlCursorStore& cursors, const ingest::v1::DropDeadLetterRequest& request,
                            std::string_view who) {
  ASSIGN_OR_RETURN(const DeadLetterKey key, KeyOf(request.id()));
  const std::string& why = request.reason();
  if (why.empty() || why.size() > kMaxWhy || why.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("reason: why it may go, 1 to 1024 bytes without NUL");
  }
  return cursors.Drop(key, who, why);
}

grpc::ServerUnaryReactor* DeadLetterService::ListDeadLetters(grpc::CallbackServerContext* context,
                                                             const ingest::v1::ListDeadLettersRequest* request,
                                                             ingest::v1::ListDeadLettersResponse* response) {
  return Answer(context, authorize_,
                [&](const std::string&) { return serving::ListDeadLetters(store_, *request, *response); });
}

grpc::ServerUnaryReactor* DeadLetterService::GetDeadLetter(grpc::CallbackServerContext* context,
                                                           const ingest::v1::GetDeadLetterRequest* request,
                                                           ingest::v1::GetDeadLetterResponse* response) {
  return Answer(context, authorize_,
                [&](const std::string&) { return serving::GetDeadLetter(store_, request->id(), *response); });
}

grpc::ServerUnaryReactor* DeadLetterService::RequeueDeadLetter(grpc::CallbackServerContext* context,
                                                               const ingest::v1::RequeueDeadLetterRequest* request,
                                                               ingest::v1::RequeueDeadLetterResponse* response) {
  return Answer(context, authorize_, [&](const std::string& who) {
    return serving::RequeueDeadLetter(cursors_, request->id(), who, *response);
  });
}

grpc::ServerUnaryReactor* DeadLetterService::DropDeadLetter(grpc::CallbackServerContext* context,
                                                            const ingest::v1::DropDeadLetterRequest* request,
                                                            ingest::v1::DropDeadLetterResponse*) {
  return Answer(context, authorize_,
                [&](const std::string& who) { return serving::DropDeadLetter(cursors_, *request, who); });
}

}  // namespace sluice::serving
