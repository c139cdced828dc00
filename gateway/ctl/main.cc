// sluicectl: see sluicectl.1.
#include <iostream>

#include "gateway/ctl/command_line.h"

int main(int argc, char** argv) { return sluice::ctl::RunCommandLine(argc, argv, std::cout, std::cerr); }
