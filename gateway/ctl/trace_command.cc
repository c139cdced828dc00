#include "gateway/ctl/trace_command.h"

#include <nlohmann/json.hpp>

#include "base/item.h"
#include "base/status.h"
#include "gateway/ctl/ctl_client.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"

namespace sluice::ctl {

std::string FormatTrace(const pb::TraceResponse& trace) {
  const auto safe = [](const std::string& text) { return text.empty() ? "-" : EscapeForTerminal(text); };
  std::string out = StrCat("event   ", safe(trace.event_id()), "\ndevice  ", safe(trace.device_id()), "\nkind    ",
                           safe(trace.kind()), "\nqueue   ", safe(trace.queue()), " #", trace.number(), "  epoch ",
                           safe(trace.epoch()), "\nbody    ", safe(trace.body_json()), "\n\n");
  Table table({{"STEP"}, {"TIME"}, {"AFTER", Table::Align::kRight}, {"DETAIL"}});
  int64_t begin = 0;
  for (const auto& step : trace.steps()) {
    const int64_t at = step.at_ms();
    if (begin == 0) begin = at;
    table.Add({step.step(), at != 0 ? LocalTime(at) : "(time not kept)",
               at != 0 && at != begin ? "+" + Duration(at - begin) : "", step.detail()});
  }
  return out + (table.empty() ? "no step is known\n" : table.ToString());
}

int RunTrace(const Session& session, const std::string& event_id) {
  if (!EventId::Parse(event_id)) {
    return Fail(session, absl::InvalidArgumentError(
                             StrCat("'", event_id, "' is not an event id: 32 hexadecimal digits, with or without dashes")));
  }
  auto client = CtlClient::Connect(session.socket_path);
  if (!client.ok()) return Fail(session, client.status());
  auto trace = (*client)->Trace(event_id);
  if (!trace.ok()) {
    if (trace.status().code() != absl::StatusCode::kNotFound) return Fail(session, trace.status());
    return Fail(session, absl::NotFoundError(StrCat(
                             MessageOf(trace.status()),
                             "\nIt never came here, or was acknowledged by the cloud and has left the replay window")));
  }
  if (session.json) {
    auto json = ToJson(*trace);
    json.erase("body_json");
    json["body"] = Embedded(trace->body_json());
    session.out << Dump(json) << '\n';
  } else {
    session.out << FormatTrace(*trace);
  }
  return kOk;
}

}  // namespace sluice::ctl
