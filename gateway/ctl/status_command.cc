#include "gateway/ctl/status_command.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/status.h"
#include "gateway/ctl/ctl_client.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"
#include "gateway/ctl/queues_command.h"

namespace sluice::ctl {

bool HasProblem(const pb::GetStatusResponse& status) {
  if (status.warnings_size() > 0) return true;
  for (const auto& queue : status.queues()) {
    if (queue.link() == "refused" || queue.dead_letters() > 0) return true;
  }
  return false;
}

std::string FormatStatus(const pb::GetStatusResponse& status, int64_t now_ms) {
  const auto safe = [](const std::string& text) { return text.empty() ? "-" : EscapeForTerminal(text); };
  std::string out = StrCat("gateway   ", safe(status.gateway_id()), "   shop ", safe(status.shop_id()), "   sluiced ",
                           safe(status.version()), "   epoch ", safe(status.epoch()), "\n");
  out += StrCat("started   ", LocalTime(status.started_ms()));
  if (status.started_ms() != 0) out += StrCat(" (", Duration(now_ms - status.started_ms()), " ago)");
  out += StrCat("   clock ", safe(status.clock_state()), "\n");
  out += StrCat("events    ", status.accepted(), " accepted, ", status.duplicates(), " duplicates, ", status.rejected(),
                " rejected, from ", status.devices(), " devices\n\n");

  out += FormatQueues(status.queues(), now_ms);

  Table sources({{"SOURCE"}, {"STATE"}, {"EVENTS", Table::Align::kRight}, {"REJECTED", Table::Align::kRight},
                 {"PROMISE"}, {"DETAIL"}});
  for (const auto& source : status.sources()) {
    sources.Add({source.name(), source.state(), StrCat(source.events()), StrCat(source.rejected()), source.promise(),
                 source.detail()});
  }
  if (!sources.empty()) out += "\n" + sources.ToString();

  for (const auto& source : status.sources()) {
    if (source.figures_size() == 0) continue;
    Table figures({{EscapeForTerminal(source.name())}, {"VALUE", Table::Align::kRight}});
    for (const auto& figure : source.figures()) {
      if (figure.value() != 0) figures.Add({figure.name(), StrCat(figure.value())});   // --json has them all
    }
    if (!figures.empty()) out += "\n" + figures.ToString();
  }

  Table counters({{"COUNTER"}, {"VALUE", Table::Align::kRight}});
  for (const auto& counter : status.counters()) counters.Add({counter.name(), StrCat(counter.value())});
  if (!counters.empty()) out += "\n" + counters.ToString();

  if (status.warnings_size() > 0) out += "\n";
  for (const auto& warning : status.warnings()) {
    out += StrCat("WARNING  ", safe(warning.code()), "  ", safe(warning.text()));
    if (warning.since_ms() != 0) out += StrCat("  (since ", LocalTime(warning.since_ms()), ")");
    out += "\n";
  }
  return out;
}

int RunStatus(const Session& session) {
  auto client = CtlClient::Connect(session.socket_path);
  if (!client.ok()) return Fail(session, client.status());
  auto status = (*client)->GetStatus();
  if (!status.ok()) return Fail(session, status.status());
  if (session.json) {
    session.out << Dump(ToJson(*status)) << '\n';
  } else {
    session.out << FormatStatus(*status, SystemClock().WallMs());
  }
  return HasProblem(*status) ? kProblemFound : kOk;
}

}  // namespace sluice::ctl
