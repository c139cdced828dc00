#include "gateway/ctl/cloud_events_command.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "gateway/ctl/cloud_call.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"
#include "sluice/bus/v1/bus.grpc.pb.h"

namespace sluice::ctl {
namespace {

constexpr std::chrono::seconds kRetryEvery{1};

// The envelope's timestamp is Unix seconds with decimals. Unix ms; 0 where it has none that a calendar knows.
int64_t TimestampMs(const nlohmann::ordered_json& envelope) {
  if (!envelope.is_object()) return 0;
  const auto found = envelope.find("timestamp");
  if (found == envelope.end() || !found->is_number()) return 0;
  const double ms = found->get<double>() * 1000;
  return std::isfinite(ms) && std::abs(ms) < 1e15 ? std::llround(ms) : 0;
}

struct Shown {
  int64_t at_ms = 0;
  std::string line;
};

Shown Show(const Session& session, const Service& service, const bus::v1::TailResponse& response) {
  const auto envelope = Embedded(response.envelope_json());
  Shown shown{TimestampMs(envelope), ""};
  if (session.json) {
    nlohmann::ordered_json json = {{"service", service.name}, {"position", response.position()}};
    json["envelope"] = envelope;
    shown.line = Dump(json);
  } else {
    shown.line = FormatEnvelope(response.envelope_json());
  }
  return shown;
}

// Reads one service's bus from where `request` says; moves request.position on, so that the call can be repeated.
template <typename Take>
absl::Status ReadBus(const CloudTarget& target, const Service& service, bus::v1::TailRequest& request, Take take) {
  ASSIGN_OR_RETURN(auto channel, MakeCloudChannel(target, service));
  const auto stub = bus::v1::EventBus::NewStub(channel);
  grpc::ClientContext context;
  auto reader = stub->Tail(&context, request);
  bool wanted = true;
  for (bus::v1::TailResponse response; wanted && reader->Read(&response);) {
    request.set_position(response.position());
    request.set_last(0);
    wanted = take(response);
  }
  if (!wanted) context.TryCancel();
  const grpc::Status status = reader->Finish();
  return wanted ? ExplainCloud(status, service) : absl::OkStatus();
}

}  // namespace

std::string FormatEnvelope(const std::string& envelope_json) {
  const auto envelope = Embedded(envelope_json);
  if (!envelope.is_object()) return EscapeForTerminal(envelope_json);
  const auto text = [&](const char* name) {
    const auto found = envelope.find(name);
    return found != envelope.end() && found->is_string() ? EscapeForTerminal(found->get<std::string>()) : "-";
  };
  const auto data = envelope.find("data");
  return StrCat(LocalTime(TimestampMs(envelope)), "  ", text("eventType"), "  ", text("source"), "  ",
                data != envelope.end() ? EscapeForTerminal(DumpReadable(*data)) : "-");
}

int RunCloudEvents(const Session& session, const CloudTarget& target, const CloudEventsOptions& options) {
  std::vector<Service> services;
  for (Service& service : KnownServices(target)) {
    const bool wanted = options.from.empty() ||
                        std::find(options.from.begin(), options.from.end(), service.name) != options.from.end();
    if (wanted) services.push_back(std::move(service));
  }
  if (services.empty()) {
    return Fail(session, absl::InvalidArgumentError("no service is known: --shop, --inventory or --attendance HOST:PORT, "
                                                    "or --run-json FILE"));
  }

  const bool sorted = !options.follow && options.last > 0;
  std::mutex mutex;
  std::vector<Shown> collected;         // under mutex
  int exit_code = kOk;                  // under mutex: that of the last failure
  const auto read = [&](const Service& service) {
    bus::v1::TailRequest request;
    request.set_follow(options.follow);
    request.set_last(options.last);
    request.set_event_type(options.event_type);
    bool ever = false, complained = false;
    for (;;) {
      const absl::Status status = ReadBus(target, service, request, [&](const bus::v1::TailResponse& response) {
        ever = true;
        complained = false;
        Shown shown = Show(session, service, response);
        std::lock_guard lock(mutex);
        if (sorted) {
          collected.push_back(std::move(shown));
          return true;
        }
        session.out << shown.line << '\n' << std::flush;
        return session.out.good();
      });
      if (status.ok() && (!options.follow || !session.out.good())) return;
      const absl::Status reported = status.ok() ? absl::UnavailableError(StrCat(service.name, " ended the stream")) : status;
      if (!complained) {
        std::lock_guard lock(mutex);
        exit_code = Fail(session, reported);
      }
      complained = true;
      // Somebody who follows wants to see a service come back; an address that never answered is a mistake.
      if (!options.follow || !ever || ExitCodeOf(reported) != kUnreachable) return;
      std::this_thread::sleep_for(kRetryEvery);
    }
  };
  std::vector<std::thread> threads;
  for (const Service& service : services) threads.emplace_back(read, service);
  for (std::thread& thread : threads) thread.join();

  std::stable_sort(collected.begin(), collected.end(), [](const Shown& a, const Shown& b) { return a.at_ms < b.at_ms; });
  for (const Shown& shown : collected) session.out << shown.line << '\n';
  return exit_code;
}

}  // namespace sluice::ctl
