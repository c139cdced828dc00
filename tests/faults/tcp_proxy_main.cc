// sluice-tcp-proxy: see README.md.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <thread>

#include "base/file.h"
#include "base/strings.h"
#include "tests/faults/proxy_command.h"
#include "tests/faults/tcp_proxy.h"

int main(int argc, char** argv) {
  sluice::faults::ProxyOptions options;
  std::string ports_file;
  CLI::App app("A TCP proxy that makes a network bad on demand. Commands come as JSON lines on stdin.",
               "sluice-tcp-proxy");
  app.add_option("--listen", options.listen, "address:port; port 0 takes a free one")->capture_default_str();
  app.add_option("--to", options.to, "host:port of the target")->required();
  app.add_option("--delay-ms", options.delay_ms, "one way; a round trip takes twice that")->check(CLI::Range(0, 3600000));
  app.add_option("--ports-file", ports_file, "write {\"port\":N} there once it listens");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  // Before any thread is made, so that all of them inherit it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto proxy = sluice::faults::TcpProxy::Start(options);
  if (!proxy.ok()) {
    std::cerr << "sluice-tcp-proxy: " << sluice::MessageOf(proxy.status()) << '\n';
    return 1;
  }
  const std::string ports = sluice::StrCat("{\"port\":", (*proxy)->port(), "}\n");
  if (!ports_file.empty()) {
    if (absl::Status status = sluice::WriteFileAtomically(ports_file, ports, 0644); !status.ok()) {
      std::cerr << "sluice-tcp-proxy: " << sluice::MessageOf(status) << '\n';
      return 1;
    }
  }
  std::cout << ports << std::flush;

  // Reading stdin cannot be interrupted, so this thread is left behind at the end.
  std::thread([&proxy] {
    for (std::string line; std::getline(std::cin, line);) {
      if (line.empty()) continue;
      std::cout << sluice::faults::RunProxyCommand(**proxy, line) << '\n' << std::flush;
    }
  }).detach();
  int number = 0;
  sigwait(&signals, &number);
  std::quick_exit(0);   // the thread above uses the proxy: no destructors
}
