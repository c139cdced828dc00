#include "gateway/ctl/dead_letters_command.h"

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "gateway/ctl/ctl_client.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"

namespace sluice::ctl {

std::string FormatDeadLetters(const pb::ListDeadLettersResponse& letters) {
  if (letters.dead_letters_size() == 0) return "no dead letters since the start\n";
  Table table({{"TOLD"}, {"EVENT"}, {"REASON"}, {"ID IN THE CLOUD"}});
  for (const auto& letter : letters.dead_letters()) {
    table.Add({LocalTime(letter.at_ms()), letter.event_id(), letter.reason(), letter.id()});
  }
  std::string text = table.ToString();
  if (letters.forgotten() > 0) text += StrCat("and ", letters.forgotten(), " older ones, which the cloud has\n");
  return text;
}

int RunDeadLetters(const Session& session) {
  auto client = CtlClient::Connect(session.socket_path);
  if (!client.ok()) return Fail(session, client.status());
  const auto letters = (*client)->ListDeadLetters();
  if (!letters.ok()) return Fail(session, letters.status());
  if (session.json) {
    session.out << Dump(ToJson(*letters)) << '\n';
  } else {
    session.out << FormatDeadLetters(*letters);
  }
  return kOk;
}

}  // namespace sluice::ctl
