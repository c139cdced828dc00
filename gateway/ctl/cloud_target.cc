#include "gateway/ctl/cloud_target.h"

#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/status.h"

namespace sluice::ctl {
namespace {

constexpr int kMaxMessageBytes = 64 << 20;

absl::StatusOr<std::string> ReadPem(const std::string& path, const char* option) {
  if (path.empty()) {
    return absl::InvalidArgumentError(StrCat(option, " FILE is missing (or --run-json FILE, which names it)"));
  }
  auto pem = ReadFile(path);
  if (!pem.ok()) {
    return absl::InvalidArgumentError(StrCat(option, " ", path, ": ", MessageOf(pem.status())));
  }
  return pem;
}

}  // namespace

absl::Status ReadRunJson(const std::string& path, CloudTarget& target) {
  auto text = ReadFile(path);
  if (!text.ok()) return absl::InvalidArgumentError(StrCat("--run-json ", path, ": ", MessageOf(text.status())));
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError(StrCat("--run-json ", path, ": not a JSON object"));
  const auto cloud = json.find("cloud");
  if (cloud == json.end() || !cloud->is_object()) {
    return absl::InvalidArgumentError(StrCat("--run-json ", path, ": has no object \"cloud\""));
  }
  const struct {
    const char* name;
    std::string& value;
  } members[] = {{"shop", target.shop},   {"inventory", target.inventory},     {"attendance", target.attendance},
                 {"ca", target.ca_file}, {"operator_cert", target.cert_file}, {"operator_key", target.key_file}};
  for (const auto& member : members) {
    const auto found = cloud->find(member.name);
    if (found == cloud->end() || !member.value.empty()) continue;
    if (!found->is_string()) {
      return absl::InvalidArgumentError(StrCat("--run-json ", path, ": cloud.", member.name, " is not text"));
    }
    member.value = found->get<std::string>();
  }
  return absl::OkStatus();
}

std::vector<Service> KnownServices(const CloudTarget& target) {
  std::vector<Service> services;
  if (!target.shop.empty()) services.push_back({"shop", target.shop});
  if (!target.inventory.empty()) services.push_back({"inventory", target.inventory});
  if (!target.attendance.empty()) services.push_back({"attendance", target.attendance});
  return services;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeCloudChannel(const CloudTarget& target, const Service& service) {
  if (service.address.empty()) {
    return absl::InvalidArgumentError(
        StrCat("--", service.name, " HOST:PORT is missing (or --run-json FILE, which names it)"));
  }
  grpc::SslCredentialsOptions options;
  ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem(target.ca_file, "--ca"));
  ASSIGN_OR_RETURN(options.pem_cert_chain, ReadPem(target.cert_file, "--cert"));
  ASSIGN_OR_RETURN(options.pem_private_key, ReadPem(target.key_file, "--key"));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);     // a stream that follows must notice a dead link
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  // Named for its other use: it also bounds one attempt to connect, which is 20 s otherwise.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);
  if (!target.server_name.empty()) arguments.SetSslTargetNameOverride(target.server_name);
  // What is named is what is dialled: http_proxy of the environment is for browsers.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // A channel of its own for each attempt: a shared one remembers failures.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(service.address, grpc::SslCredentials(options), arguments);
}

}  // namespace sluice::ctl
