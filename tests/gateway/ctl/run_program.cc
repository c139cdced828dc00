#include "tests/gateway/ctl/run_program.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace sluice::ctl {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// False at the end.
bool ReadSome(int fd, std::string& into) {
  char block[16384];
  const ssize_t got = read(fd, block, sizeof(block));
  if (got > 0) into.append(block, static_cast<size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

}  // namespace

Program::Program(const std::vector<std::string>& argv, const std::vector<std::string>& environment, unsigned user) {
  const char* folder = std::getenv("SLUICE_BIN");
  std::vector<std::string> arguments = argv;
  if (arguments[0].find('/') == std::string::npos) arguments[0] = std::string(folder ? folder : "bin") + "/" + argv[0];
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  variables.insert(variables.end(), environment.begin(), environment.end());
  std::vector<char*> arguments_p = Pointers(arguments), variables_p = Pointers(variables);

  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) std::abort();
  pid_ = fork();
  if (pid_ == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    if (user != 0 && (setgroups(0, nullptr) != 0 || setgid(user) != 0 || setuid(user) != 0)) _exit(126);
    execve(arguments_p[0], arguments_p.data(), variables_p.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Program::~Program() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(out_);
  close(err_);
}

bool Program::ReadLine(std::string& line) {
  for (;;) {
    if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return true;
    }
    if (!ReadSome(out_, buffer_)) return false;
  }
}

void Program::Signal(int number) { kill(pid_, number); }

ProgramResult Program::Wait() {
  ProgramResult result;
  result.out = std::move(buffer_);
  bool out_open = true, err_open = true;
  while (out_open || err_open) {
    pollfd fds[2] = {{out_open ? out_ : -1, POLLIN, 0}, {err_open ? err_ : -1, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) break;
    if (fds[0].revents != 0) out_open = ReadSome(out_, result.out);
    if (fds[1].revents != 0) err_open = ReadSome(err_, result.err);
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return result;
}

ProgramResult RunProgram(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                         unsigned user) {
  return Program(argv, environment, user).Wait();
}

}  // namespace sluice::ctl
