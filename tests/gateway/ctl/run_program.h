// Runs a program of the build as users do, and hands back what it said.
#pragma once

#include <string>
#include <vector>

namespace sluice::ctl {

struct ProgramResult {
  int exit_code = -1;   // -signal where a signal ended it
  std::string out, err;
};

// A running program; ended by SIGKILL if it still runs when this goes.
class Program {
 public:
  // argv[0] is a name in $SLUICE_BIN. `environment`: NAME=value, added to ours. `user`: run as this user and
  // group id and no other group (needs root); 0: unchanged.
  explicit Program(const std::vector<std::string>& argv, const std::vector<std::string>& environment = {},
                   unsigned user = 0);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Blocks for the next line of stdout, without '\n'. False at its end.
  bool ReadLine(std::string& line);
  void Signal(int number);
  // Reads the rest and waits for the end.
  ProgramResult Wait();

 private:
  int pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::string buffer_;
};

ProgramResult RunProgram(const std::vector<std::string>& argv, const std::vector<std::string>& environment = {},
                         unsigned user = 0);

}  // namespace sluice::ctl
