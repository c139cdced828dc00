#include "tests/faults/proxy_command.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sluice::faults {
namespace {

using nlohmann::json;

absl::StatusOr<uint64_t> Number(const json& command, const char* name) {
  const auto found = command.find(name);
  if (found == command.end() || !found->is_number_unsigned()) {
    return absl::InvalidArgumentError(StrCat("member '", name, "' is to be a number from 0"));
  }
  return found->get<uint64_t>();
}

absl::StatusOr<Direction> DirectionOf(const json& command) {
  const std::string name = command.contains("direction") ? command["direction"].dump() : "\"both\"";
  if (name == "\"up\"") return Direction::kUp;
  if (name == "\"down\"") return Direction::kDown;
  if (name == "\"both\"") return Direction::kBoth;
  return absl::InvalidArgumentError("direction is up, down or both");
}

absl::Status Run(TcpProxy& proxy, const json& command) {
  const auto found = command.find("fault");
  if (found == command.end()) return absl::OkStatus();   // only the figures are asked for
  const std::string fault = found->is_string() ? found->get<std::string>() : "";
  if (fault == "refuse") return proxy.Refuse();
  if (fault == "resume") return proxy.Resume();
  if (fault == "reset") {
    proxy.ResetAll();
  } else if (fault == "stall") {
    proxy.Stall();
  } else if (fault == "half_open") {
    proxy.HalfOpen();
  } else if (fault == "cut") {
    auto bytes = Number(command, "bytes");
    if (!bytes.ok()) return bytes.status();
    auto direction = DirectionOf(command);
    if (!direction.ok()) return direction.status();
    proxy.CutAfter(*bytes, *direction);
  } else if (fault == "delay") {
    auto ms = Number(command, "ms");
    if (!ms.ok()) return ms.status();
    if (*ms > 3'600'000) return absl::InvalidArgumentError("ms is at most 3600000");
    proxy.SetDelay(static_cast<int64_t>(*ms));
  } else {
    return absl::InvalidArgumentError("fault is refuse, reset, stall, half_open, cut, delay or resume");
  }
  return absl::OkStatus();
}

}  // namespace

std::string RunProxyCommand(TcpProxy& proxy, std::string_view line) {
  const json command = json::parse(line, nullptr, /*allow_exceptions=*/false);
  const absl::Status status =
      command.is_object() ? Run(proxy, command) : absl::InvalidArgumentError("a command is one JSON object");
  json answer = {{"ok", status.ok()}};
  if (!status.ok()) answer["error"] = std::string(MessageOf(status));
  const ProxyFigures figures = proxy.figures();
  answer["accepted"] = figures.accepted;
  answer["open"] = figures.open;
  answer["up_bytes"] = figures.up_bytes;
  answer["down_bytes"] = figures.down_bytes;
  answer["swallowed_bytes"] = figures.swallowed_bytes;
  answer["cuts"] = figures.cuts;
  return answer.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace sluice::faults
