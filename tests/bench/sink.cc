// sluice-bench-sink: what stands behind the Mosquitto bridge in scripts/bench: a subscriber that counts, and notes when
// each event of sluice-sim arrived. One line an event: `device seq unix_us`.
#include <mosquitto.h>

#include <csignal>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

namespace {

volatile std::sig_atomic_t stop = 0;

int64_t UnixMicroseconds() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

struct Sink {
  std::FILE* file;
};

void OnMessage(mosquitto*, void* self, const mosquitto_message* message) {
  const std::string_view topic = message->topic;
  const std::string_view body(static_cast<const char*>(message->payload), static_cast<size_t>(message->payloadlen));
  constexpr std::string_view kSeq = "\"seq\":";
  const size_t at = body.find(kSeq);
  if (at == std::string_view::npos) return;  // a will: it does not count
  uint64_t seq = 0;
  std::from_chars(body.data() + at + kSeq.size(), body.data() + body.size(), seq);
  const size_t end = topic.rfind('/');
  const size_t begin = topic.rfind('/', end - 1) + 1;
  std::fprintf(static_cast<Sink*>(self)->file, "%.*s %llu %lld\n", static_cast<int>(end - begin), topic.data() + begin,
               static_cast<unsigned long long>(seq), static_cast<long long>(UnixMicroseconds()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: sluice-bench-sink PORT FILE\n");
    return 2;
  }
  std::signal(SIGTERM, [](int) { stop = 1; });
  std::signal(SIGINT, [](int) { stop = 1; });
  Sink sink{std::fopen(argv[2], "wbe")};
  if (sink.file == nullptr) {
    std::perror(argv[2]);
    return 1;
  }
  mosquitto_lib_init();
  mosquitto* client = mosquitto_new("bench-sink", true, &sink);
  mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, 65535);
  mosquitto_connect_callback_set(client, [](mosquitto* connected, void*, int) {
    mosquitto_subscribe(connected, nullptr, "sluice/v1/+/+", 1);
  });
  mosquitto_subscribe_callback_set(client, [](mosquitto*, void*, int, int, const int*) {
    std::puts("subscribed");
    std::fflush(stdout);
  });
  mosquitto_message_callback_set(client, &OnMessage);
  if (mosquitto_connect(client, "127.0.0.1", std::atoi(argv[1]), 60) != MOSQ_ERR_SUCCESS) {
    std::fprintf(stderr, "no broker on port %s\n", argv[1]);
    return 1;
  }
  int code = MOSQ_ERR_SUCCESS;
  while (stop == 0 && code == MOSQ_ERR_SUCCESS) {
    code = mosquitto_loop(client, 20, 1);
    std::fflush(sink.file);  // one write for each batch that the socket gave
  }
  std::fclose(sink.file);
  mosquitto_destroy(client);
  if (stop != 0) return 0;
  std::fprintf(stderr, "%s\n", mosquitto_strerror(code));
  return 1;
}
