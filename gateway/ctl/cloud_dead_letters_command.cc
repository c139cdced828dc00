#include "gateway/ctl/cloud_dead_letters_command.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/item.h"
#include "gateway/ctl/cloud_call.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"
#include "sluice/ingest/v1/dead_letters.grpc.pb.h"

namespace sluice::ctl {
namespace {

namespace pb = ::sluice::ingest::v1;

std::string_view ServiceOf(Queue queue) {
  switch (queue) {
    case Queue::kInventory: return "inventory";
    case Queue::kAttendance: return "attendance";
    case Queue::kShopUrgent:
    case Queue::kShopBulk: return "shop";
  }
  return "";
}

// The service that a letter lies in: its id is <gateway>/<queue>/<epoch>/<number>.
absl::StatusOr<Service> ServiceOf(const std::string& id, const CloudTarget& target) {
  const size_t from = id.find('/');
  const size_t to = from == std::string::npos ? from : id.find('/', from + 1);
  const auto queue = to == std::string::npos ? std::nullopt : QueueFromName(id.substr(from + 1, to - from - 1));
  if (!queue) {
    return absl::InvalidArgumentError(
        StrCat(id, ": not the id of a dead letter, <gateway>/<queue>/<epoch>/<number>, as list shows it"));
  }
  const std::string_view name = ServiceOf(*queue);
  return Service{std::string(name), name == "shop"        ? target.shop
                                    : name == "inventory" ? target.inventory
                                                          : target.attendance};
}

// Asks the service in which the letter lies.
template <typename Response, typename Request, typename Method>
absl::StatusOr<Response> Ask(const CloudTarget& target, const Request& request, Method method) {
  ASSIGN_OR_RETURN(const Service service, ServiceOf(request.id(), target));
  ASSIGN_OR_RETURN(auto channel, MakeCloudChannel(target, service));
  const auto stub = pb::DeadLetters::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCloudTimeout);
  Response response;
  RETURN_IF_ERROR(ExplainCloud(((*stub).*method)(&context, request, &response), service));
  return response;
}

absl::StatusOr<pb::ListDeadLettersResponse> List(const CloudTarget& target, const Service& service,
                                                 const DeadLettersOptions& options) {
  ASSIGN_OR_RETURN(auto channel, MakeCloudChannel(target, service));
  const auto stub = pb::DeadLetters::NewStub(channel);
  pb::ListDeadLettersRequest request;
  request.set_gateway_id(options.gateway_id);
  return CollectPages(request, service, options.limit, &pb::ListDeadLettersResponse::mutable_dead_letters,
                      [&](auto... arguments) { return stub->ListDeadLetters(arguments...); });
}

}  // namespace

int RunCloudListDeadLetters(const Session& session, const CloudTarget& target, const DeadLettersOptions& options) {
  std::vector<Service> services;
  if (options.services.empty()) {
    services = KnownServices(target);
    if (services.empty()) {
      return Fail(session, absl::InvalidArgumentError("no service is known: --shop, --inventory or --attendance "
                                                      "HOST:PORT, or --run-json FILE"));
    }
  } else {
    const CloudTarget& t = target;
    for (const std::string& name : options.services) {
      services.push_back({name, name == "shop" ? t.shop : name == "inventory" ? t.inventory : t.attendance});
    }
  }
  pb::ListDeadLettersResponse all;
  int exit_code = kOk;
  for (const Service& service : services) {
    const auto listed = List(target, service, options);
    if (listed.ok()) {
      all.MergeFrom(*listed);
    } else {
      exit_code = Fail(session, listed.status());
    }
  }
  if (exit_code != kOk && all.dead_letters_size() == 0) return exit_code;
  auto& rows = *all.mutable_dead_letters();
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.at_ms() < b.at_ms(); });
  if (options.limit != 0 && static_cast<uint64_t>(rows.size()) > options.limit) {
    rows.DeleteSubrange(static_cast<int>(options.limit), rows.size() - static_cast<int>(options.limit));
  }
  Table table({{"SINCE"}, {"KIND"}, {"DEVICE"}, {"BYTES", Table::Align::kRight}, {"REASON"}, {"ID"}});
  for (const auto& letter : all.dead_letters()) {
    table.Add({LocalTime(letter.at_ms()), letter.kind(), letter.device_id(), StrCat(letter.size()), letter.reason(),
               letter.id()});
  }
  const int shown = ShowList(session, all, table, "no dead letters");
  return exit_code == kOk ? shown : exit_code;
}

int RunCloudShowDeadLetter(const Session& session, const CloudTarget& target, const DeadLettersOptions& options) {
  pb::GetDeadLetterRequest request;
  request.set_id(options.id);
  const auto found = Ask<pb::GetDeadLetterResponse>(target, request, &pb::DeadLetters::Stub::GetDeadLetter);
  if (!found.ok()) return Fail(session, found.status());
  const pb::DeadLetter& letter = found->dead_letter();
  if (session.json) {
    auto json = ToJson(*found);
    json.erase("event_json");
    json["event"] = found->event_json().empty() ? nlohmann::ordered_json() : Embedded(found->event_json());
    session.out << Dump(json) << '\n';
    return kOk;
  }
  const auto line = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) session.out << name << std::string(10 - name.size(), ' ') << EscapeForTerminal(value) << '\n';
  };
  line("id", letter.id());
  line("reason", letter.reason());
  line("since", LocalTime(letter.at_ms()));
  line("gateway", letter.gateway_id());
  line("shop", letter.shop_id());
  line("queue", letter.queue());
  line("device", letter.device_id());
  line("kind", letter.kind());
  line("event id", letter.event_id());
  line("bytes", StrCat(letter.size()));
  line("event", found->event_json().empty() ? "does not decode; --json has the bytes" : found->event_json());
  return kOk;
}

int RunCloudRequeueDeadLetter(const Session& session, const CloudTarget& target, const DeadLettersOptions& options) {
  pb::RequeueDeadLetterRequest request;
  request.set_id(options.id);
  const auto done = Ask<pb::RequeueDeadLetterResponse>(target, request, &pb::DeadLetters::Stub::RequeueDeadLetter);
  if (!done.ok()) return Fail(session, done.status());
  if (session.json) {
    session.out << Dump(ToJson(*done)) << '\n';
  } else if (done->outcome() == "applied") {
    session.out << "applied: it has its effect, after what its device said since\n";
  } else if (done->outcome() == "kept") {
    session.out << "kept: the service does not know its kind yet, and applies it once it does\n";
  } else {
    session.out << "refused again: " << EscapeForTerminal(done->reason()) << '\n';
  }
  return done->outcome() == "refused" ? kProblemFound : kOk;
}

int RunCloudDropDeadLetter(const Session& session, const CloudTarget& target, const DeadLettersOptions& options) {
  pb::DropDeadLetterRequest request;
  request.set_id(options.id);
  request.set_reason(options.reason);
  const auto done = Ask<pb::DropDeadLetterResponse>(target, request, &pb::DeadLetters::Stub::DropDeadLetter);
  if (!done.ok()) return Fail(session, done.status());
  session.out << (session.json ? StrCat(Dump({{"dropped", options.id}}), "\n") : std::string("dropped; the audit has it\n"));
  return kOk;
}

}  // namespace sluice::ctl
