// sluicectl as a process against a control service on a real socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "gateway/control/control_server.h"
#include "tests/gateway/control/fake_control_source.h"
#include "tests/gateway/ctl/run_program.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class SluicectlTest : public testing::Test {
 protected:
  SluicectlTest() {
    std::string pattern = testing::TempDir() + "ctlXXXXXX";
    folder_ = mkdtemp(pattern.data());
    chmod(folder_.c_str(), 0755);
    socket_ = folder_ + "/control.sock";
  }
  ~SluicectlTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void StartServer() {
    control::Options options;
    options.socket_path = socket_;
    auto server = control::ControlServer::Start(options, source_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::vector<std::string> Command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"sluicectl", "--socket", socket_});
    return arguments;
  }
  ProgramResult Run(std::vector<std::string> arguments) const { return RunProgram(Command(std::move(arguments))); }

  // A bound socket; listening or not.
  UniqueFd BindSocket(bool listening, int backlog = 5) {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    if (listening) {
      EXPECT_EQ(listen(fd.get(), backlog), 0);
    }
    return fd;
  }

  std::string folder_, socket_;
  control::FakeControlSource source_;
  std::unique_ptr<control::ControlServer> server_;
};

TEST_F(SluicectlTest, StatusAsJsonHasTheProtosNamesAndNumbers) {
  StartServer();
  const auto result = Run({"status", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto status = json::parse(result.out);
  EXPECT_EQ(status["gateway_id"], "gw-1");
  EXPECT_EQ(status["accepted"], 1234);
  EXPECT_EQ(status["queues"][0]["name"], "inventory");
  EXPECT_EQ(status["queues"][0]["acknowledged"], 100);
  EXPECT_EQ(status["sources"][0]["state"], "connected");
  EXPECT_EQ(status["warnings"], json::array());
}

TEST_F(SluicectlTest, StatusSaysByItsExitCodeThatSomethingIsWrong) {
  auto* warning = source_.status.add_warnings();
  warning->set_code("disk_full");
  warning->set_text("85 % full\x1b[2J");
  StartServer();
  const auto result = Run({"status"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, AllOf(HasSubstr("gw-1"), HasSubstr("streaming"), HasSubstr("1.85 ms"),
                                HasSubstr("WARNING  disk_full  85 % full\\x1b[2J"), Not(HasSubstr("\x1b"))));
}

TEST_F(SluicectlTest, StatusShowsWhatASourceCounts) {
  StartServer();
  const std::string text = Run({"status"}).out;
  EXPECT_THAT(text, AllOf(HasSubstr("PUBACK means that the event is on flash"), HasSubstr("connections       17"),
                          HasSubstr("withheld           3"), Not(HasSubstr("refused_back_off"))));
  const auto figures = json::parse(Run({"status", "--json"}).out)["sources"][1]["figures"];
  EXPECT_EQ(figures[0]["name"], "connections");
  EXPECT_EQ(figures[0]["value"], 17);
  EXPECT_EQ(figures[2]["value"], 0);
}

TEST_F(SluicectlTest, ListsDevicesAndQueues) {
  StartServer();
  EXPECT_THAT(Run({"devices"}).out, AllOf(HasSubstr("DEVICE"), HasSubstr("vm-0001"), HasSubstr("online")));
  EXPECT_EQ(json::parse(Run({"devices", "--json"}).out)["devices"][0]["last_seq"], 7);
  EXPECT_THAT(Run({"queues"}).out, AllOf(HasSubstr("QUEUE"), HasSubstr("shop-bulk")));
  EXPECT_EQ(json::parse(Run({"--json", "queues"}).out)["queues"].size(), 4u);
}

TEST_F(SluicectlTest, ListsWhatTheCloudCouldNotAccept) {
  StartServer();
  EXPECT_THAT(Run({"dead-letters"}).out, HasSubstr("no dead letters"));
  auto* letter = source_.dead_letters.add_dead_letters();
  letter->set_id("gw-1/inventory/00112233445566778899aabbccddeeff/42");
  letter->set_event_id("01890a5d-ac96-774b-bcce-b302099a8057");
  letter->set_reason("conflict \x1b[5m");
  source_.dead_letters.set_forgotten(3);
  const auto text = Run({"dead-letters", "list"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr(letter->id()), HasSubstr(letter->event_id()), HasSubstr("conflict \\x1b[5m"),
                              HasSubstr("3 older ones")));
  EXPECT_EQ(json::parse(Run({"dead-letters", "--json"}).out)["dead_letters"][0]["reason"], "conflict \x1b[5m");
}

TEST_F(SluicectlTest, TailShowsTheLastAndEnds) {
  StartServer();
  for (uint64_t i = 1; i <= 5; ++i) source_.Publish(i);
  const auto result = Run({"tail", "--last", "2", "--no-follow", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.out);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  const auto event = json::parse(line);
  EXPECT_EQ(event["number"], 4);
  EXPECT_EQ(event["body"]["product"], "cola");
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_FALSE(std::getline(lines, line));
}

TEST_F(SluicectlTest, TailFollowsLineByLineAndEndsWithTheDaemon) {
  StartServer();
  source_.Publish(1);
  Program tail(Command({"tail", "--last", "1"}));
  std::string line;
  for (uint64_t i = 1; i <= 20; ++i) {
    ASSERT_TRUE(tail.ReadLine(line));
    EXPECT_THAT(line, AllOf(HasSubstr("vm-0001"), HasSubstr("inventory#" + std::to_string(i))));
    source_.Publish(i + 1);
  }
  server_->Stop();
  const auto result = tail.Wait();
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("sluiced is stopping"));
}

TEST_F(SluicectlTest, RejectedMessagesCannotCommandTheTerminal) {
  control::v1::RejectedMessage message;
  message.set_at_ms(1'700'000'000'000);
  message.set_source("mqtt:main");
  message.set_where("sluice/v1/vm-0001/sale");
  message.set_reason("unknown member 'pr\x1b]0;owned\x07ice'");
  message.set_head(std::string("\x1b[31m\0\xff{}\n", 10));
  message.set_size(9);
  source_.rejected.Add(message);
  StartServer();
  const auto text = Run({"tail", "--rejected", "--no-follow"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr("\\x1b]0;owned\\x07"), HasSubstr("\\x1b[31m\\x00\\xff{}\\n"),
                              Not(HasSubstr("\x1b")), Not(HasSubstr("\x07"))));
  const auto parsed = json::parse(Run({"tail", "--rejected", "--no-follow", "--json"}).out);
  EXPECT_EQ(parsed["where"], "sluice/v1/vm-0001/sale");
  EXPECT_EQ(parsed["head_base64"], "G1szMW0A/3t9Cg==");
}

TEST_F(SluicectlTest, TracesAnEvent) {
  StartServer();
  const auto text = Run({"trace", source_.known.ToUuid()});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("journalled"), HasSubstr("acknowledged"), HasSubstr("+21 ms")));
  const auto parsed = json::parse(Run({"trace", source_.known.ToHex(), "--json"}).out);
  EXPECT_EQ(parsed["body"]["quantity"], 1);
  EXPECT_EQ(parsed["steps"][1]["step"], "journalled");

  const auto unknown = Run({"trace", "00000000-0000-0000-0000-000000000000"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("nothing is known"));
  EXPECT_EQ(Run({"trace", "nonsense"}).exit_code, 2);
}

TEST_F(SluicectlTest, SyncNowReachesTheDaemon) {
  StartServer();
  EXPECT_EQ(Run({"sync", "now"}).exit_code, 0);
  EXPECT_EQ(source_.syncs, 1);
}

TEST_F(SluicectlTest, WatchWritesLinesWhereThereIsNoTerminal) {
  StartServer();
  source_.Publish(1);
  Program watch(Command({"watch", "--interval", "0.1"}));
  std::string line;
  bool event = false, queues = false;
  while (!event || !queues) {
    ASSERT_TRUE(watch.ReadLine(line));
    event |= line.find("inventory#1") != std::string::npos;
    queues |= line.find("shop-bulk streaming") != std::string::npos;
  }
  watch.Signal(SIGINT);
  EXPECT_EQ(watch.Wait().exit_code, 0);

  std::istringstream lines(Run({"watch", "--json", "--interval", "0.1", "--count", "2"}).out);
  ASSERT_TRUE(std::getline(lines, line));
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(json::parse(line)["rates"]["inventory"]["acknowledged_per_second"], 0);
  EXPECT_FALSE(std::getline(lines, line));
}

TEST_F(SluicectlTest, WatchWaitsForADaemonThatWentAway) {
  StartServer();
  Program watch(Command({"watch", "--interval", "0.1"}));
  std::string line;
  const auto read_until = [&](const std::string& text) {
    do {
      ASSERT_TRUE(watch.ReadLine(line)) << "looking for " << text;
    } while (line.find(text) == std::string::npos);
  };
  read_until("streaming");
  server_->Stop();
  read_until("no such file");
  StartServer();
  read_until("streaming");
  watch.Signal(SIGTERM);
  EXPECT_EQ(watch.Wait().exit_code, 0);
}

TEST_F(SluicectlTest, WrongUsageIsTwo) {
  EXPECT_EQ(Run({}).exit_code, 2);
  EXPECT_EQ(Run({"dance"}).exit_code, 2);
  EXPECT_EQ(Run({"tail", "--last", "many"}).exit_code, 2);
  EXPECT_EQ(Run({"--help"}).exit_code, 0);
}

TEST_F(SluicectlTest, SaysWhenThereIsNoSocket) {
  const auto result = Run({"status"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("no such file: " + socket_), HasSubstr("systemctl status sluiced"), HasSubstr("--socket")));
  EXPECT_EQ(result.out, "");
}

TEST_F(SluicectlTest, TakesTheSocketFromTheEnvironment) {
  StartServer();
  EXPECT_EQ(RunProgram({"sluicectl", "status"}, {"SLUICE_SOCKET=" + socket_}).exit_code, 0);
}

TEST_F(SluicectlTest, SaysWhenNobodyListens) {
  BindSocket(/*listening=*/false);
  const auto result = Run({"status"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, AllOf(HasSubstr("connection refused on " + socket_), HasSubstr("nobody listens")));
}

TEST_F(SluicectlTest, SaysWhenItIsNoSocket) {
  std::ofstream(socket_) << "x";
  const auto result = Run({"status"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("is not a socket"));
}

TEST_F(SluicectlTest, SaysWhoWouldBeLetIn) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody who is not let in";
  // The build may lie where others cannot go.
  const std::string program = folder_ + "/sluicectl";
  std::filesystem::copy_file(std::string(std::getenv("SLUICE_BIN")) + "/sluicectl", program);
  chmod(program.c_str(), 0755);
  StartServer();
  chmod(socket_.c_str(), 0660);
  ASSERT_EQ(chown(socket_.c_str(), 0, 4), 0);   // 4: adm, in every Debian
  const auto result = RunProgram({program, "--socket", socket_, "status"}, {}, /*user=*/65534);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, AllOf(HasSubstr("permission denied on " + socket_), HasSubstr("usermod -aG adm")));
}

TEST_F(SluicectlTest, SaysWhenTheDaemonHangs) {
  const UniqueFd silent = BindSocket(/*listening=*/true);   // the kernel takes the connection, nobody reads it
  const auto result = Run({"tail"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("does not answer in 5 s on " + socket_));
}

}  // namespace
}  // namespace sluice::ctl
