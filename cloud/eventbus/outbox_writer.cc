#include "cloud/eventbus/outbox_writer.h"

#include "base/strings.h"
#include "base/uuid.h"
#include "cloud/eventbus/json.h"

namespace sluice::eventbus {
namespace {

constexpr store::Sql kInsert{
    "INSERT INTO bus_outbox(position, event_type, entity, envelope, queue, device_id, boot, seq, kind, cause) "
    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "ittttt" "iitt"};

std::optional<int64_t> AsColumn(const std::optional<uint64_t>& number) {
  // 64 bits unsigned in a column of 64 bits signed: two's complement.
  if (!number) return std::nullopt;
  return static_cast<int64_t>(*number);
}

}  // namespace

store::Component Schema() {
  return {"bus",
          {
#include "eventbus/schema.inc"
          }};
}

void AppendEnvelope(std::string& out, std::string_view source, const Event& event) {
  const Id128 id = Uuid5Of(event.cause, StrCat(event.type, "/", event.ordinal));
  JsonObject envelope(out);
  envelope.Text("eventId", id.ToUuid())
      .Text("eventType", event.type)
      .Text("eventVersion", event.version)
      .Text("source", source)
      .Seconds("timestamp", event.timestamp_ms)
      .Text("correlationId", event.correlation_id);
  if (event.causation_id.empty()) {
    envelope.Value("causationId").append("null");
  } else {
    envelope.Text("causationId", event.causation_id);
  }
  envelope.Value("data").append(event.data_json);
  envelope.Close();
}

absl::Status OutboxWriter::Write(store::Transaction& transaction, const Event& event) {
  envelope_.clear();
  AppendEnvelope(envelope_, source_, event);
  const int64_t position = transaction.NextPosition();
  if (fresh_ != nullptr) fresh_->Add(transaction, position, event.entity, envelope_);
  return transaction
      .Run(kInsert, position, event.type, event.entity, envelope_, event.queue, event.device_id,
           AsColumn(event.boot), AsColumn(event.seq), event.kind, event.cause.ToHex())
      .status();
}

}  // namespace sluice::eventbus
