#include "gateway/ctl/listener_command.h"

#include <nlohmann/json.hpp>

#include "base/device_name.h"
#include "base/password_file.h"
#include "base/random.h"
#include "base/status.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/message_json.h"

namespace sluice::ctl {
namespace {

using Json = nlohmann::ordered_json;

// Below that a chosen password is guessed sooner or later, whatever its hash costs.
constexpr size_t kLeastChosenBytes = 12;
constexpr size_t kMostBytes = 256;

// A file that cannot be read is no wrong usage.
absl::Status OfFile(absl::Status status) {
  if (!absl::IsInvalidArgument(status)) return status;
  return absl::FailedPreconditionError(status.message());
}

absl::Status CheckDevice(const std::string& device) {
  if (IsDeviceName(device)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("\"", device, "\" cannot be a device: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot"));
}

absl::StatusOr<std::string> ReadPassword(std::istream& in) {
  std::string password;
  std::getline(in, password);
  if (password.ends_with('\r')) password.pop_back();
  if (password.size() < kLeastChosenBytes || password.size() > kMostBytes) {
    return absl::InvalidArgumentError(StrCat("the password must have ", kLeastChosenBytes, " to ", kMostBytes,
                                             " bytes; without --stdin one is generated"));
  }
  return password;
}

absl::Status AddDevice(const ListenerOptions& options, const std::string& password, Random& random, bool* replaced) {
  ASSIGN_OR_RETURN(const PasswordHash hash,
                   HashPassword(password, options.from_stdin ? kChosenPasswordCost : kGeneratedPasswordCost, random));
  return OfFile(EditPasswordFile(options.password_file, [&](const std::string& text) -> absl::StatusOr<std::string> {
    const auto file = PasswordFile::Parse(text);   // it does parse: EditPasswordFile saw to that
    *replaced = file.ok() && file->Find(options.device) != nullptr;
    if (*replaced && !options.replace) {
      return absl::AlreadyExistsError(
          StrCat(options.device, " has a password already; --replace gives it a new one, and the old one ends"));
    }
    return WithPassword(text, options.device, hash);
  }));
}

}  // namespace

int RunAddDevice(const Session& session, const ListenerOptions& options, std::istream& in) {
  if (const absl::Status status = CheckDevice(options.device); !status.ok()) return Fail(session, status);
  SystemRandom random;
  std::string password;
  if (options.from_stdin) {
    auto read = ReadPassword(in);
    if (!read.ok()) return Fail(session, read.status());
    password = *std::move(read);
  } else {
    password = GeneratePassword(random);
  }
  bool replaced = false;
  if (const absl::Status status = AddDevice(options, password, random, &replaced); !status.ok()) return Fail(session, status);
  if (session.json) {
    Json answer{{"device", options.device}, {"replaced", replaced}};
    if (!options.from_stdin) answer["password"] = password;
    session.out << Dump(answer) << '\n';
    return kOk;
  }
  session.out << "device    " << options.device << (replaced ? "   (its old password has ended)" : "") << '\n';
  if (!options.from_stdin) {
    session.out << "password  " << password << '\n';
    session.err << "This is the only time it is shown. A running gateway knows it within a second or two.\n";
  }
  return kOk;
}

int RunRemoveDevice(const Session& session, const ListenerOptions& options) {
  const absl::Status status =
      EditPasswordFile(options.password_file, [&](const std::string& text) -> absl::StatusOr<std::string> {
        const auto file = PasswordFile::Parse(text);
        if (file.ok() && file->Find(options.device) == nullptr) {
          return absl::NotFoundError(StrCat(options.device, " has no line in ", options.password_file));
        }
        return WithoutPassword(text, options.device);
      });
  if (!status.ok()) return Fail(session, OfFile(status));
  if (session.json) {
    session.out << Dump(Json{{"device", options.device}}) << '\n';
  } else {
    session.out << options.device << " is removed; a running gateway ends its connections within a second or two\n";
  }
  return kOk;
}

int RunListDevices(const Session& session, const ListenerOptions& options) {
  const auto file = PasswordFile::Load(options.password_file);
  if (!file.ok()) return Fail(session, OfFile(file.status()));
  if (session.json) {
    Json devices = Json::array();
    for (const auto& [device, hash] : file->entries()) {
      devices.push_back({{"device", device}, {"ln", hash.cost.log_n}, {"verify_bytes", hash.cost.Bytes()}});
    }
    session.out << Dump(Json{{"devices", devices}}) << '\n';
    return kOk;
  }
  Table table({{"DEVICE"}, {"SCRYPT"}, {"MEMORY", Table::Align::kRight}});
  for (const auto& [device, hash] : file->entries()) {
    table.Add({device, StrCat("ln=", hash.cost.log_n, ",r=", hash.cost.r, ",p=", hash.cost.p),
               StrCat(hash.cost.Bytes() >> 20, " MiB")});
  }
  session.out << (table.empty() ? "no device has a password\n" : table.ToString());
  return kOk;
}

}  // namespace sluice::ctl
