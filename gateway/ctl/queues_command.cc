#include "gateway/ctl/queues_command.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/status.h"
#include "gateway/ctl/ctl_client.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"

namespace sluice::ctl {

std::string FormatQueues(const google::protobuf::RepeatedPtrField<pb::QueueStatus>& queues, int64_t now_ms) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"QUEUE"}, {"LINK"}, {"PENDING", kRight}, {"BYTES", kRight}, {"OLDEST", kRight}, {"STORED", kRight},
               {"IN FLIGHT", kRight}, {"ACKED", kRight}, {"ACK TIME", kRight}, {"GAPS", kRight}, {"DEAD", kRight},
               {"SERVICE"}});
  std::string details;
  for (const auto& queue : queues) {
    table.Add({queue.name(), queue.link(), StrCat(queue.pending()), Bytes(queue.pending_bytes()),
               queue.pending() > 0 ? Duration(queue.oldest_ms()) : "-", StrCat(queue.stored()),
               StrCat(queue.in_flight()), StrCat(queue.acknowledged()),
               queue.ack_time_us() > 0 ? Microseconds(queue.ack_time_us()) : "-", StrCat(queue.gaps()),
               StrCat(queue.dead_letters()), queue.service()});
    if (queue.detail().empty() && queue.next_try_ms() == 0) continue;
    details += StrCat(EscapeForTerminal(queue.name()), ": ", EscapeForTerminal(queue.detail()));
    if (queue.next_try_ms() != 0) {
      const int64_t left = queue.next_try_ms() - now_ms;
      details += StrCat(queue.detail().empty() ? "" : "; ", "next try ", left > 0 ? "in " + Duration(left) : "now");
    }
    details += "\n";
  }
  return table.ToString() + details;
}

int RunQueues(const Session& session) {
  auto client = CtlClient::Connect(session.socket_path);
  if (!client.ok()) return Fail(session, client.status());
  auto queues = (*client)->ListQueues();
  if (!queues.ok()) return Fail(session, queues.status());
  if (session.json) {
    session.out << Dump(ToJson(*queues)) << '\n';
  } else {
    session.out << FormatQueues(queues->queues(), SystemClock().WallMs());
  }
  return kOk;
}

}  // namespace sluice::ctl
