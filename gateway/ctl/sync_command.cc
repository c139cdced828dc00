#include "gateway/ctl/sync_command.h"

#include <nlohmann/json.hpp>

#include "gateway/ctl/ctl_client.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/message_json.h"

namespace sluice::ctl {

int RunSyncNow(const Session& session) {
  auto client = CtlClient::Connect(session.socket_path);
  if (!client.ok()) return Fail(session, client.status());
  auto synced = (*client)->SyncNow();
  if (!synced.ok()) return Fail(session, synced.status());
  if (session.json) {
    session.out << Dump(ToJson(*synced)) << '\n';
  } else if (synced->queues_size() == 0) {
    session.out << "nothing to do: no queue waits for a retry\n";
  } else {
    session.out << "trying now:";
    for (const auto& queue : synced->queues()) session.out << ' ' << EscapeForTerminal(queue);
    session.out << '\n';
  }
  return kOk;
}

}  // namespace sluice::ctl
