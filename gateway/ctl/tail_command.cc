#include "gateway/ctl/tail_command.h"

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "gateway/ctl/ctl_client.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"

namespace sluice::ctl {
namespace {

nlohmann::ordered_json EventJson(const pb::TailedEvent& event) {
  auto json = ToJson(event);
  json.erase("summary");
  json["body"] = Embedded(event.summary());
  return json;
}

nlohmann::ordered_json RejectedJson(const pb::RejectedMessage& message) {
  auto json = ToJson(message);
  json["head"] = message.head();   // readable; head_base64 is exact
  return json;
}

void Missed(const Session& session, uint64_t dropped) {
  if (dropped > 0 && !session.json) session.out << "… " << dropped << " not shown: they came faster than this tail\n";
}

std::string OrDash(const std::string& text) { return text.empty() ? "-" : EscapeForTerminal(text); }

}  // namespace

std::string FormatEvent(const pb::TailedEvent& event) {
  return StrCat(LocalClock(event.received_ms()), "  ", OrDash(event.device_id()), "  ", OrDash(event.kind()), "  ",
                OrDash(event.queue()), "#", event.number(), "  ", OrDash(event.event_id()), "  ",
                EscapeForTerminal(event.summary()));
}

std::string FormatRejected(const pb::RejectedMessage& message) {
  return StrCat(LocalTime(message.at_ms()), "  ", OrDash(message.source()), "  ", OrDash(message.where()), "  ",
                OrDash(message.device_id()), "  ", OrDash(message.reason()), "\n    ", Bytes(message.size()), ": ",
                Truncate(EscapeForTerminal(message.head()), 300));
}

int RunTail(const Session& session, const TailOptions& options) {
  auto client = CtlClient::Connect(session.socket_path);
  if (!client.ok()) return Fail(session, client.status());
  pb::TailRequest request;
  request.set_last(options.last);
  request.set_follow(options.follow);
  request.set_device_id(options.device_id);
  bool any = false;
  // Flushed line by line: tail is read through pipes.
  const auto write = [&](const auto& message, auto json, auto format) {
    any = true;
    Missed(session, message.dropped());
    session.out << (session.json ? Dump(json(message)) : format(message)) << '\n' << std::flush;
    return session.out.good();
  };
  const absl::Status status =
      options.rejected ? (*client)->TailRejected(request, [&](const pb::RejectedMessage& message) {
        return write(message, RejectedJson, FormatRejected);
      })
                       : (*client)->Tail(request, [&](const pb::TailedEvent& event) {
                           return write(event, EventJson, FormatEvent);
                         });
  if (!status.ok()) return Fail(session, status);
  if (!any && !session.json) session.err << (options.rejected ? "nothing was refused\n" : "no events\n");
  return kOk;
}

}  // namespace sluice::ctl
