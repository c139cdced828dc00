// Devices that speak MQTT to the gateway itself, as fast as it acknowledges: what scripts/bench puts the listener under. One
// thread and one epoll for all, bodies that differ in their number alone, so that the load takes little of what it measures.
//
//   sluice-bench-devices --port 8883 --devices 20 --events 2000000 --window 100 [--critical 0.1] [--bytes 200] [--prefix bench-]
//                        [--password P] [--ca FILE [--seconds 0]] [--level 5] [--rate 0]
//
// Prints one JSON object: events, seconds from the first publish to the last PUBACK, refused, PUBACK times, CPU of its own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/strings.h"
#include "devices/transport/mqtt_packet.h"

namespace {

using sluice::StrCat;

struct Options {
  uint16_t port = 1883;
  size_t devices = 20;
  uint64_t events = 1'000'000;
  size_t window = 100;
  double critical = 0.1;
  size_t bytes = 200;
  std::string prefix = "bench-", password, ca;
  int level = 5;
  double rate = 0;       // events a second over all; 0: flat out
  double hold_s = 0;     // stay connected so long before the end
  uint64_t boot = 1;
};

int64_t NowUs() { return sluice::SystemClock().MonotonicUs(); }

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "sluice-bench-devices: %s\n", why.c_str());
  std::exit(1);
}

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

class Device {
 public:
  Device(const Options& options, SSL_CTX* tls, size_t index)
      : options_(options), name_(StrCat(options.prefix, index)), sent_us_(options.window + 1) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die(StrCat("connect: ", std::strerror(errno)));
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (tls != nullptr) {
      ssl_.reset(SSL_new(tls));
      SSL_set_fd(ssl_.get(), fd_);
      if (SSL_connect(ssl_.get()) != 1) Die("the TLS handshake failed");
    }
    Login();
    fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
    bulk_ = Template("telemetry", "\"values\":{\"temperature\":{\"value\":4.5,\"unit\":\"Cel\"},\"door_open\":false}");
    critical_ = Template("sale", "\"selection\":\"A1\",\"product\":\"cola-033\",\"price\":150,\"currency\":\"EUR\",\"payment\":\"card\"");
  }
  ~Device() {
    if (fd_ >= 0) close(fd_);
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  int fd() const { return fd_; }
  size_t in_flight() const { return static_cast<size_t>(next_ - acked_); }
  bool blocked() const { return out_at_ < out_.size(); }

  // Publishes at most so many, as far as the window allows; returns how many.
  size_t Publish(size_t limit, uint64_t* critical_debt) {
    if (blocked()) return 0;
    const size_t count = std::min(limit, options_.window - in_flight());
    if (count == 0) return 0;
    out_.clear();
    out_at_ = 0;
    const int64_t now = NowUs();
    for (size_t i = 0; i < count; ++i) {
      const uint64_t seq = next_++;
      *critical_debt += static_cast<uint64_t>(options_.critical * 1e6);
      const bool critical = *critical_debt >= 1'000'000;
      if (critical) *critical_debt -= 1'000'000;
      const Rendered& rendered = critical ? critical_ : bulk_;
      const size_t at = out_.size();
      out_ += rendered.bytes;
      const uint16_t id = static_cast<uint16_t>((seq - 1) % 65'535 + 1);
      out_[at + rendered.id] = static_cast<char>(id >> 8);
      out_[at + rendered.id + 1] = static_cast<char>(id & 255);
      uint64_t rest = seq;
      for (size_t digit = 10; digit-- > 0; rest /= 10) out_[at + rendered.seq + digit] = static_cast<char>('0' + rest % 10);
      sent_us_[seq % sent_us_.size()] = now;
    }
    Write();
    return count;
  }

  void Write() {
    while (blocked()) {
      const ssize_t put = ssl_ ? SSL_write(ssl_.get(), out_.data() + out_at_, static_cast<int>(out_.size() - out_at_))
                               : send(fd_, out_.data() + out_at_, out_.size() - out_at_, MSG_NOSIGNAL);
      if (put <= 0) {
        if (ssl_ ? SSL_get_error(ssl_.get(), static_cast<int>(put)) == SSL_ERROR_WANT_WRITE : errno == EAGAIN) return;
        Die(StrCat(name_, ": write failed"));
      }
      out_at_ += static_cast<size_t>(put);
    }
  }

  // Takes PUBACKs; returns how many.
  size_t Read(uint64_t* refused, std::vector<uint32_t>* times) {
    char block[16384];
    size_t count = 0;
    const int64_t now = NowUs();
    for (;;) {
      const ssize_t got = ssl_ ? SSL_read(ssl_.get(), block, sizeof block) : recv(fd_, block, sizeof block, 0);
      if (got <= 0) {
        if (ssl_ ? SSL_get_error(ssl_.get(), static_cast<int>(got)) == SSL_ERROR_WANT_READ : got < 0 && errno == EAGAIN) return count;
        Die(StrCat(name_, ": the gateway closed the connection"));
      }
      in_.append(block, static_cast<size_t>(got));
      size_t at = 0;
      while (in_.size() - at >= 2 && in_.size() - at >= 2u + static_cast<uint8_t>(in_[at + 1])) {
        const size_t size = 2u + static_cast<uint8_t>(in_[at + 1]);
        if (static_cast<uint8_t>(in_[at]) >> 4 != 4) Die(StrCat(name_, ": not a PUBACK: ", static_cast<uint8_t>(in_[at])));
        const uint64_t seq = ++acked_base_;
        const uint16_t id = static_cast<uint16_t>((seq - 1) % 65'535 + 1);
        if (static_cast<uint8_t>(in_[at + 2]) != id >> 8 || static_cast<uint8_t>(in_[at + 3]) != (id & 255)) {
          Die(StrCat(name_, ": PUBACK out of order"));
        }
        if (size > 4 && static_cast<uint8_t>(in_[at + 4]) >= 0x80) ++*refused;
        if (seq % 16 == 0) times->push_back(static_cast<uint32_t>(now - sent_us_[seq % sent_us_.size()]));
        at += size;
        ++count;
      }
      in_.erase(0, at);
      acked_ = acked_base_ + 1;
      if (!ssl_ && got < static_cast<ssize_t>(sizeof block)) return count;
    }
  }

 private:
  struct Rendered {
    std::string bytes;
    size_t id = 0, seq = 0;   // where they stand
  };

  void Login() {
    sluice::transport::MqttConnect connect;
    connect.level = static_cast<sluice::transport::MqttLevel>(options_.level);
    connect.clean = true;
    connect.keep_alive_s = 300;
    connect.client_id = name_;
    connect.has_user_name = connect.has_password = !options_.password.empty();
    connect.user_name = name_;
    connect.password = options_.password;
    std::string bytes;
    sluice::transport::EncodeMqtt(connect, &bytes);
    const auto write = [&](const std::string& text) {
      return ssl_ ? SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0
                  : send(fd_, text.data(), text.size(), MSG_NOSIGNAL) > 0;
    };
    const auto read = [&](char* to, size_t size) {
      for (size_t done = 0; done < size;) {
        const ssize_t got = ssl_ ? SSL_read(ssl_.get(), to + done, static_cast<int>(size - done)) : recv(fd_, to + done, size - done, 0);
        if (got <= 0) Die(StrCat(name_, ": no CONNACK"));
        done += static_cast<size_t>(got);
      }
    };
    if (!write(bytes)) Die("CONNECT could not be written");
    char head[2], body[128];
    read(head, 2);
    if (static_cast<uint8_t>(head[0]) != 0x20 || static_cast<uint8_t>(head[1]) > sizeof body) Die("not a CONNACK");
    read(body, static_cast<uint8_t>(head[1]));
    if (body[1] != 0) Die(StrCat(name_, ": refused with ", static_cast<int>(static_cast<uint8_t>(body[1]))));
  }

  Rendered Template(const std::string& kind, const std::string& members) const {
    std::string body = StrCat("{\"boot\":", options_.boot, ",\"seq\":1", "0000000000,", members, ",\"x_pad\":\"");
    while (body.size() + 2 < options_.bytes) body += '-';
    body += "\"}";
    sluice::transport::MqttPublish publish;
    const std::string topic = StrCat("sluice/v1/", name_, "/", kind);
    publish.topic = topic;
    publish.payload = body;
    publish.qos = 1;
    publish.packet_id = 0x4142;
    Rendered rendered;
    sluice::transport::EncodeMqtt(publish, static_cast<sluice::transport::MqttLevel>(options_.level), &rendered.bytes);
    rendered.id = rendered.bytes.find("AB", topic.size());
    rendered.seq = rendered.bytes.find("\"seq\":1") + 7;   // ten digits behind a leading 1: no leading zeros in JSON
    return rendered;
  }

  const Options& options_;
  const std::string name_;
  int fd_ = -1;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  Rendered bulk_, critical_;
  std::string out_, in_;
  size_t out_at_ = 0;
  uint64_t next_ = 1, acked_ = 1, acked_base_ = 0;
  std::vector<int64_t> sent_us_;   // by seq modulo its size
};

int Run(const Options& options) {
  SSL_CTX* tls = nullptr;
  if (!options.ca.empty()) {
    tls = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_load_verify_file(tls, options.ca.c_str()) != 1) Die(StrCat(options.ca, ": no certificates"));
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::unique_ptr<Device>> devices;
  const int64_t connecting = NowUs();
  for (size_t i = 0; i < options.devices; ++i) {
    devices.push_back(std::make_unique<Device>(options, tls, i));
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, devices.back()->fd(), &event);
  }
  const double connect_s = static_cast<double>(NowUs() - connecting) / 1e6;
  std::fprintf(stderr, "%zu connected in %.2f s\n", devices.size(), connect_s);

  uint64_t sent = 0, acked = 0, refused = 0, debt = 0;
  std::vector<uint32_t> times;
  const int64_t began = NowUs();
  int64_t last = began;
  size_t turn = 0;
  std::vector<bool> wants_write(devices.size());
  const auto pump = [&](size_t i) {
    uint64_t room = options.events - sent;
    if (options.rate > 0) {
      const auto due = static_cast<uint64_t>(static_cast<double>(NowUs() - began) * options.rate / 1e6) + 1;
      room = std::min(room, due > sent ? due - sent : 0);
    }
    sent += devices[i]->Publish(room, &debt);
    if (devices[i]->blocked() != wants_write[i]) {
      wants_write[i] = devices[i]->blocked();
      epoll_event event{.events = EPOLLIN | (wants_write[i] ? uint32_t{EPOLLOUT} : 0u), .data = {.u64 = i}};
      epoll_ctl(epoll, EPOLL_CTL_MOD, devices[i]->fd(), &event);
    }
  };
  if (options.rate == 0) {
    for (size_t i = 0; i < devices.size(); ++i) pump(i);
  }
  std::vector<epoll_event> events(256);
  while (acked < options.events) {
    const int ready = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), options.rate > 0 ? 1 : 30'000);
    if (ready == 0 && options.rate == 0) Die(StrCat("nothing for 30 s with ", sent - acked, " not acknowledged"));
    for (int e = 0; e < ready; ++e) {
      const size_t i = events[static_cast<size_t>(e)].data.u64;
      if (events[static_cast<size_t>(e)].events & EPOLLOUT) devices[i]->Write();
      acked += devices[i]->Read(&refused, &times);
      last = NowUs();
      if (options.rate == 0) pump(i);
    }
    for (size_t n = 0; options.rate > 0 && n < devices.size() && sent < options.events; ++n) pump(turn++ % devices.size());
  }
  if (options.hold_s > 0) usleep(static_cast<useconds_t>(options.hold_s * 1e6));

  std::sort(times.begin(), times.end());
  const auto at = [&](double share) { return times.empty() ? 0.0 : times[static_cast<size_t>(share * static_cast<double>(times.size() - 1))] / 1e3; };
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  const double seconds = static_cast<double>(last - began) / 1e6;
  std::printf("{\"devices\":%zu,\"events\":%lu,\"seconds\":%.3f,\"eps\":%.0f,\"refused\":%lu,\"p50_ms\":%.2f,\"p99_ms\":%.2f,"
              "\"max_ms\":%.2f,\"connect_s\":%.2f,\"cpu_s\":%.2f}\n",
              devices.size(), options.events, seconds, static_cast<double>(options.events) / seconds, refused, at(0.5), at(0.99),
              at(1), connect_s, cpu);
  return refused == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Devices on the gateway's own MQTT server, as fast as it acknowledges.");
  app.add_option("--port", options.port)->required();
  app.add_option("--devices", options.devices)->check(CLI::Range(1, 20'000));
  app.add_option("--events", options.events);
  app.add_option("--window", options.window)->check(CLI::Range(1, 60'000));
  app.add_option("--critical", options.critical, "share of sales; the rest is telemetry")->check(CLI::Range(0.0, 1.0));
  app.add_option("--bytes", options.bytes, "of each body")->check(CLI::Range(160, 4096));
  app.add_option("--prefix", options.prefix, "of the devices' names");
  app.add_option("--password", options.password, "of all of them");
  app.add_option("--ca", options.ca, "TLS, and who may sign the gateway's certificate");
  app.add_option("--level", options.level, "4 (3.1.1) or 5")->check(CLI::IsMember({4, 5}));
  app.add_option("--rate", options.rate, "events a second over all; 0: flat out");
  app.add_option("--hold", options.hold_s, "seconds to stay connected at the end");
  app.add_option("--boot", options.boot);
  CLI11_PARSE(app, argc, argv);
  return Run(options);
}
