// sluice-bench-nats: the two ends of a NATS JetStream hop, as scripts/bench needs them.
//
//   sluice-bench-nats publish PORT LEDGER PREFIX DEVICES EVENTS RATE
//       One connection a device; each publish waits for the stream's ack, 256 under way a device. RATE 0: flat out. Totals as
//       JSON. PREFIX stands before the devices' names.
//   sluice-bench-nats sink PORT STREAM FILE
//       One line for each message of the stream: device seq unix_us.
//
// The client protocol is NATS's text protocol (docs.nats.io, "NATS protocol"): INFO, CONNECT, PUB, SUB, MSG, PING, PONG.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/strings.h"
#include "devices/sim/histogram.h"
#include "devices/sim/ledger.h"

namespace {

using namespace std::string_view_literals;
using sluice::StrCat;

constexpr size_t kWindow = 256;
constexpr size_t kBodyBytes = 200;

volatile std::sig_atomic_t stop = 0;

int64_t UnixMicroseconds() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

[[noreturn]] void Die(const std::string& why) {
  std::cerr << "sluice-bench-nats: " << why << "\n";
  std::exit(1);
}

class Connection {
 public:
  explicit Connection(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die("no server on port " + std::to_string(port));
    Say("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n");
  }
  int fd() const { return fd_; }
  std::string out;

  void Say(std::string_view bytes) { out += bytes; }
  // Blocks while the server takes nothing: it reads all the time.
  void Flush() {
    for (std::string_view left = out; !left.empty();) {
      const ssize_t count = send(fd_, left.data(), left.size(), MSG_NOSIGNAL);
      if (count <= 0) Die("the server closed the connection");
      left.remove_prefix(static_cast<size_t>(count));
    }
    out.clear();
  }
  // Calls on_message(subject, payload) for each that has come.
  template <typename OnMessage>
  void Read(OnMessage&& on_message) {
    static char chunk[256 << 10];
    const ssize_t count = recv(fd_, chunk, sizeof chunk, MSG_DONTWAIT);
    if (count == 0) Die("the server closed the connection");
    if (count < 0) return;
    in_.append(chunk, static_cast<size_t>(count));
    size_t at = 0;
    while (true) {
      const size_t end = in_.find("\r\n", at);
      if (end == std::string::npos) break;
      const std::string_view line = std::string_view(in_).substr(at, end - at);
      size_t next = end + 2;
      if (line.starts_with("MSG ") || line.starts_with("HMSG ")) {
        size_t size = 0;
        const size_t last = line.rfind(' ') + 1;
        std::from_chars(line.data() + last, line.data() + line.size(), size);
        if (in_.size() < next + size + 2) break;
        const size_t name = line.find(' ') + 1;
        on_message(line.substr(name, line.find(' ', name) - name), std::string_view(in_).substr(next, size));
        next += size + 2;
      } else if (line == "PING") {
        Say("PONG\r\n");
        Flush();
      } else if (line.starts_with("-ERR")) {
        Die(std::string(line));
      }
      at = next;
    }
    in_.erase(0, at);
  }

 private:
  const int fd_;
  std::string in_;
};

struct Device {
  std::string name;
  std::unique_ptr<Connection> connection;
  uint64_t next = 1;
  std::deque<std::pair<uint64_t, int64_t>> under_way;  // seq, monotonic us
};

int Publish(int port, const std::string& path, const std::string& prefix, size_t count, uint64_t events, double rate) {
  sluice::SystemClock clock;
  sluice::sim::Ledger ledger;
  if (const auto status = ledger.Open(path, false); !status.ok()) Die(std::string(status.message()));
  sluice::sim::Histogram acks;
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Device> devices(count);
  const uint64_t boot = static_cast<uint64_t>(clock.WallMs());
  for (size_t i = 0; i < count; ++i) {
    Device& device = devices[i];
    char name[24];
    std::snprintf(name, sizeof name, "vm-%04zu", i + 1);
    device.name = prefix + name;
    device.connection = std::make_unique<Connection>(port);
    device.connection->Say(StrCat("SUB _INBOX.", device.name, ".* 1\r\n"));
    device.connection->Flush();
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    epoll_ctl(poller, EPOLL_CTL_ADD, device.connection->fd(), &event);
    ledger.Device(device.name, "nats", "vending");
  }
  const std::string pad(kBodyBytes, '-');
  uint64_t produced = 0;
  uint64_t answered = 0;
  const auto send = [&](Device& device) {
    const uint64_t seq = device.next++;
    std::string body = StrCat("{\"device\":\"", device.name, "\",\"boot\":", boot, ",\"seq\":", seq, ",\"time\":", clock.WallMs(), ",\"x_pad\":\"");
    body += pad.substr(0, kBodyBytes - body.size() - 2);
    body += "\"}";
    device.connection->Say(StrCat("PUB sluice.v1.", device.name, ".telemetry _INBOX.", device.name, ".", seq, " ", body.size(),
                                  "\r\n", body, "\r\n"));
    ledger.Sent(device.name, boot, seq, sluice::sim::Kind::kTelemetry, UnixMicroseconds(), {});
    device.under_way.emplace_back(seq, clock.MonotonicUs());
    ++produced;
  };
  const int64_t begin_us = clock.MonotonicUs();
  int64_t last_us = begin_us;
  size_t turn = 0;
  while (answered < events && stop == 0) {
    const int64_t now_us = clock.MonotonicUs();
    if (rate > 0) {
      const auto due = std::min(events, static_cast<uint64_t>(static_cast<double>(now_us - begin_us) * 1e-6 * rate));
      while (produced < due) send(devices[turn++ % count]);
    } else {
      for (Device& device : devices) {
        for (int i = 0; i < 64 && device.under_way.size() < kWindow && produced < events; ++i) send(device);
      }
    }
    for (Device& device : devices) {
      if (!device.connection->out.empty()) device.connection->Flush();
    }
    epoll_event ready[256];
    const int found = epoll_wait(poller, ready, 256, 1);
    for (int i = 0; i < found; ++i) {
      Device& device = devices[ready[i].data.u64];
      device.connection->Read([&](std::string_view subject, std::string_view answer) {
        if (answer.find("\"error\""sv) != std::string_view::npos || answer.find("\"stream\""sv) == std::string_view::npos) {
          Die("a publish was refused: " + std::string(answer));
        }
        uint64_t seq = 0;
        const size_t dot = subject.rfind('.') + 1;
        std::from_chars(subject.data() + dot, subject.data() + subject.size(), seq);
        last_us = clock.MonotonicUs();
        while (!device.under_way.empty() && device.under_way.front().first <= seq) {
          acks.Add(last_us - device.under_way.front().second);
          ledger.Puback(device.name, boot, device.under_way.front().first);
          device.under_way.pop_front();
          ++answered;
        }
      });
    }
    if (ledger.Full() && !ledger.Flush().ok()) Die("the ledger cannot be written");
  }
  if (!ledger.Flush().ok()) Die("the ledger cannot be written");
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  std::cout << "{\"devices\":" << count << ",\"produced\":" << produced << ",\"puback\":" << answered << ",\"open\":"
            << produced - answered << ",\"puback_ms\":{\"p50\":" << static_cast<double>(acks.AtUs(0.5)) * 1e-3
            << ",\"p99\":" << static_cast<double>(acks.AtUs(0.99)) * 1e-3
            << ",\"max\":" << static_cast<double>(acks.largest_us()) * 1e-3
            << "},\"seconds\":" << static_cast<double>(last_us - begin_us) * 1e-6
            << ",\"cpu_s\":" << seconds(usage.ru_utime) + seconds(usage.ru_stime) << "}" << std::endl;
  return answered == events ? 0 : 1;
}

int Sink(int port, const std::string& stream, const char* path) {
  std::FILE* file = std::fopen(path, "wbe");
  if (file == nullptr) Die(path);
  Connection connection(port);
  const std::string config = StrCat("{\"stream_name\":\"", stream,
                                    "\",\"config\":{\"deliver_subject\":\"bench.sink\",\"ack_policy\":\"none\",\"deliver_policy\":\"all\"}}");
  connection.Say(StrCat("SUB bench.sink 1\r\nSUB bench.answer 2\r\nPUB $JS.API.CONSUMER.CREATE.", stream, " bench.answer ",
                        config.size(), "\r\n", config, "\r\n"));
  connection.Flush();
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {}};
  epoll_ctl(poller, EPOLL_CTL_ADD, connection.fd(), &event);
  while (stop == 0) {
    epoll_event ready;
    if (epoll_wait(poller, &ready, 1, 100) <= 0) continue;
    connection.Read([&](std::string_view, std::string_view body) {
      if (body.find("\"stream_name\""sv) != std::string_view::npos || body.find("\"error\""sv) != std::string_view::npos) {
        std::cout << (body.find("\"error\""sv) == std::string_view::npos ? "subscribed" : body) << std::endl;
        return;
      }
      // The subject is the delivery's; who sent it stands in the body.
      constexpr std::string_view kDevice = "\"device\":\"", kSeq = "\"seq\":";
      const size_t device = body.find(kDevice);
      const size_t at = body.find(kSeq);
      if (device == std::string_view::npos || at == std::string_view::npos) return;
      uint64_t seq = 0;
      std::from_chars(body.data() + at + kSeq.size(), body.data() + body.size(), seq);
      const std::string_view name = body.substr(device + kDevice.size(), body.find('"', device + kDevice.size()) - device - kDevice.size());
      std::fprintf(file, "%.*s %llu %lld\n", static_cast<int>(name.size()), name.data(), static_cast<unsigned long long>(seq),
                   static_cast<long long>(UnixMicroseconds()));
    });
    std::fflush(file);
  }
  std::fclose(file);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = [](int) { stop = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "publish" && argc == 8) {
    return Publish(std::atoi(argv[2]), argv[3], argv[4], std::strtoul(argv[5], nullptr, 10),
                   std::strtoull(argv[6], nullptr, 10), std::strtod(argv[7], nullptr));
  }
  if (what == "sink" && argc == 5) return Sink(std::atoi(argv[2]), argv[3], argv[4]);
  std::cerr << "usage: sluice-bench-nats publish PORT LEDGER PREFIX DEVICES EVENTS RATE | sink PORT STREAM FILE\n";
  return 2;
}
