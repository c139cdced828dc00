#include "tests/fakes/mosquitto_broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "base/strings.h"
#include "base/unique_fd.h"

extern char** environ;

namespace sluice::fakes {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool Listens(uint16_t port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Runs a program to its end, output into `log`.
absl::Status Run(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return absl::UnavailableError(StrCat(command[0], " cannot be run"));
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::InternalError(StrCat(command[0], " ", command[1], " failed: ", ReadFile(log).value_or("")));
  }
  return absl::OkStatus();
}

absl::Status MakeCertificate(const std::string& folder, const std::string& name, const std::string& subject_alternative) {
  const std::string base = folder + "/" + name;
  const std::string log = folder + "/openssl.log";
  RETURN_IF_ERROR(Run({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                       "-keyout", base + ".key", "-out", base + ".csr"}, log));
  RETURN_IF_ERROR(WriteFileAtomically(base + ".ext", "subjectAltName=" + subject_alternative + "\n"));
  return Run({"openssl", "x509", "-req", "-in", base + ".csr", "-CA", folder + "/ca.crt", "-CAkey", folder + "/ca.key",
              "-CAcreateserial", "-days", "2", "-extfile", base + ".ext", "-out", base + ".crt"}, log);
}

}  // namespace

uint16_t FreePort() {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return 0;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.sin_port);
}

absl::StatusOr<std::unique_ptr<MosquittoBroker>> MosquittoBroker::Make(Options options) {
  std::string folder = std::filesystem::temp_directory_path().string() + "/sluice-broker-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return absl::InternalError("mkdtemp");
  const uint16_t port = options.port != 0 ? options.port : FreePort();
  std::unique_ptr<MosquittoBroker> broker(new MosquittoBroker(std::move(options), folder, port));
  RETURN_IF_ERROR(broker->WriteFiles());
  RETURN_IF_ERROR(broker->Start());
  return broker;
}

MosquittoBroker::~MosquittoBroker() {
  Kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string MosquittoBroker::url() const {
  return StrCat(options_.tls ? "mqtts" : "mqtt", "://127.0.0.1:", port_);
}

std::string MosquittoBroker::Log() const { return ReadFile(Path("broker.log")).value_or(""); }

absl::Status MosquittoBroker::WriteFiles() {
  std::string config = StrCat("listener ", port_, " 127.0.0.1\n", "max_queued_messages 0\n", "log_dest file ", Path("broker.log"),
                              "\nlog_type all\n");
  // Run as root it would become the user mosquitto, who may not read the folder.
  if (geteuid() == 0) config += "user root\n";
  if (options_.persistence) config += StrCat("persistence true\npersistence_location ", folder_, "/\n");
  if (options_.tls) {
    RETURN_IF_ERROR(Run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                         "-subj", "/CN=test CA", "-keyout", Path("ca.key"), "-out", Path("ca.crt")}, Path("openssl.log")));
    RETURN_IF_ERROR(MakeCertificate(folder_, "server", "IP:127.0.0.1,DNS:localhost"));
    RETURN_IF_ERROR(MakeCertificate(folder_, "client", "DNS:gateway.test"));
    config += StrCat("cafile ", Path("ca.crt"), "\ncertfile ", Path("server.crt"), "\nkeyfile ", Path("server.key"), "\n");
    if (options_.require_certificate) config += "require_certificate true\n";
  }
  if (options_.user.empty()) {
    config += "allow_anonymous true\n";
  } else {
    RETURN_IF_ERROR(WriteFileAtomically(Path("password.txt"), options_.password + "\n"));
    RETURN_IF_ERROR(Run({"mosquitto_passwd", "-b", "-c", Path("users"), options_.user, options_.password}, Path("passwd.log")));
    config += StrCat("allow_anonymous false\npassword_file ", Path("users"), "\n");
  }
  return WriteFileAtomically(Path("mosquitto.conf"), config + options_.more);
}

absl::Status MosquittoBroker::Start() {
  const std::string config = Path("mosquitto.conf");
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);   // no broker outlives a test that crashed
    if (getppid() != parent) _exit(1);
    execlp("mosquitto", "mosquitto", "-c", config.c_str(), nullptr);
    execl("/usr/sbin/mosquitto", "mosquitto", "-c", config.c_str(), nullptr);
    _exit(127);
  }
  if (pid_ < 0) return absl::InternalError("fork");
  for (int i = 0; i < 1000; ++i) {
    if (Listens(port_)) return absl::OkStatus();
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return absl::UnavailableError(StrCat("mosquitto ended with ", WEXITSTATUS(status), ": ", Log()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));   // nothing tells that a foreign program listens
  }
  return absl::DeadlineExceededError(StrCat("mosquitto does not listen: ", Log()));
}

void MosquittoBroker::End(int signal) {
  if (pid_ < 0) return;
  kill(pid_, signal);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void MosquittoBroker::Stop() { End(SIGTERM); }
void MosquittoBroker::Kill() { End(SIGKILL); }

}  // namespace sluice::fakes
