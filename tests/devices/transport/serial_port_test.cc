#include "devices/transport/serial_port.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "base/strings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/pty.h"

namespace sluice::transport {
namespace {

using fakes::Pty;
using ::testing::HasSubstr;
using ::testing::Not;

class SerialPortTest : public ::testing::Test {
 protected:
  SerialPortTest() {
    std::string folder = std::filesystem::temp_directory_path().string() + "/sluice-serial-XXXXXX";
    folder_ = mkdtemp(folder.data());
    by_id_ = folder_ + "/by-id";
    by_path_ = folder_ + "/by-path";
  }
  ~SerialPortTest() override {
    port_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::unique_ptr<SerialPort> Make(SerialOptions options) {
    options.link_folders = {by_id_, by_path_};
    return MakeSerialPort(loop_, std::move(options),
                          {.on_bytes = [this](std::string_view bytes) { Note([&] { bytes_ += bytes; }); },
                           .on_open = [this] { Note([&] { ++opened_; }); },
                           .on_close = [this](const absl::Status& why) { Note([&] { closed_.push_back(why); }); },
                           .on_tick = [this](int64_t) { Note([&] { ++ticks_; }); }});
  }
  void Link(const std::string& name, const std::string& target) { LinkIn(by_id_, name, target); }
  static void LinkIn(const std::string& folder, const std::string& name, const std::string& target) {
    std::filesystem::create_directories(folder);
    const std::string fresh = folder + "/.fresh";
    std::filesystem::create_symlink(target, fresh);
    std::filesystem::rename(fresh, folder + "/" + name);
  }
  // Opens `first` as a plain tty. Its far end goes, and another one comes under `name` in `folder`.
  void ComesBack(std::unique_ptr<Pty> first, const std::string& folder, const std::string& name) {
    Pty second;
    ASSERT_NE(second.name(), first->name());
    std::filesystem::remove(folder + "/" + name);
    first->Unplug();
    ASSERT_TRUE(WaitFor([&] { return closed_.size() == 1; }));
    LinkIn(folder, name, second.name());
    ASSERT_TRUE(WaitFor([&] { return opened_ == 2; })) << port_->status().detail;
    EXPECT_THAT(port_->status().detail, HasSubstr(second.name()));
  }
  // The port's ticks tell that it may have looked.
  bool WaitForDetail(const std::string& words) {
    return WaitFor([&] { return port_->status().detail.find(words) != std::string::npos; });
  }
  template <typename F>
  void Note(F f) {
    std::lock_guard lock(mu_);
    f();
    changed_.notify_all();
  }
  template <typename Condition>
  bool WaitFor(Condition condition) {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, std::chrono::seconds(10), condition);
  }

  std::string folder_;
  std::string by_id_;
  std::string by_path_;
  std::shared_ptr<SerialLoop> loop_ = MakeSerialLoop();
  std::unique_ptr<SerialPort> port_;
  std::mutex mu_;
  std::condition_variable changed_;
  std::string bytes_;
  int opened_ = 0;
  int ticks_ = 0;
  std::vector<absl::Status> closed_;
};

TEST_F(SerialPortTest, ReadsAndWrites) {
  Pty pty;
  port_ = Make({.path = pty.name()});
  ASSERT_TRUE(port_->Start().ok());
  ASSERT_TRUE(WaitFor([&] { return opened_ == 1; }));
  pty.Write("hello\r\n");
  EXPECT_TRUE(WaitFor([&] { return bytes_ == "hello\r\n"; })) << bytes_;
  ASSERT_TRUE(port_->Write("world\r\n").ok());
  ASSERT_TRUE(port_->Write("again\n").ok());
  EXPECT_EQ(pty.Read(13), "world\r\nagain\n");
  EXPECT_THAT(port_->status().detail, HasSubstr("at 9600 8N1"));
  EXPECT_TRUE(WaitFor([&] { return ticks_ > 1; }));
  port_->Stop();
  EXPECT_FALSE(port_->status().open);
  EXPECT_EQ(port_->Write("x").code(), absl::StatusCode::kUnavailable);
}

TEST_F(SerialPortTest, SetsThePortAsAsked) {
  Pty pty;
  port_ = Make({.path = pty.name(), .baud = 460800, .stop_bits = 2, .flow = FlowControl::kXonXoff});
  ASSERT_TRUE(port_->Start().ok());
  ASSERT_TRUE(WaitFor([&] { return opened_ == 1; }));
  termios now{};
  ASSERT_EQ(tcgetattr(pty.fd(), &now), 0);
  EXPECT_EQ(cfgetispeed(&now), static_cast<speed_t>(B460800));
  EXPECT_NE(now.c_cflag & CSTOPB, 0U);
  EXPECT_NE(now.c_iflag & IXON, 0U);
  EXPECT_EQ(now.c_lflag & (ICANON | ECHO), 0U);
}

TEST_F(SerialPortTest, TakesThePortForItselfAlone) {
  Pty pty;
  const absl::StatusOr<int> fd = OpenSerial({.path = pty.name()}, pty.name());
  ASSERT_TRUE(fd.ok());
  int exclusive = 0;
  ASSERT_EQ(ioctl(*fd, TIOCGEXCL, &exclusive), 0);
  EXPECT_EQ(exclusive, 1);
  close(*fd);
}

TEST_F(SerialPortTest, MasksTheTopBit) {
  Pty pty;
  port_ = Make({.path = pty.name(), .mask_bit7 = true});
  ASSERT_TRUE(port_->Start().ok());
  pty.Write("\xd3\x54\x8d");
  EXPECT_TRUE(WaitFor([&] { return bytes_ == "ST\r"; }));
}

TEST_F(SerialPortTest, SaysSoIfTheDriverCannotSwitchTheDirection) {
  Pty pty;
  port_ = Make({.path = pty.name(), .rs485 = true});
  ASSERT_TRUE(port_->Start().ok());
  EXPECT_FALSE(port_->status().open);
  EXPECT_THAT(port_->status().detail, HasSubstr("cannot switch the direction (TIOCSRS485"));
}

TEST_F(SerialPortTest, ADeviceThatComesBackUnderAnotherNumberIsFoundByItsLink) {
  auto first = std::make_unique<Pty>();
  Link("usb-scale", first->name());
  port_ = Make({.path = by_id_ + "/usb-scale", .retry_min_ms = 60'000});   // only the watch is in time
  ASSERT_TRUE(port_->Start().ok());
  ASSERT_TRUE(WaitFor([&] { return opened_ == 1; }));
  Pty second;
  ASSERT_NE(second.name(), first->name());
  std::filesystem::remove(by_id_ + "/usb-scale");   // as udev does; and another process may get the number
  first->Unplug();
  ASSERT_TRUE(WaitFor([&] { return closed_.size() == 1; }));
  EXPECT_FALSE(port_->status().open);
  Link("usb-scale", second.name());
  ASSERT_TRUE(WaitFor([&] { return opened_ == 2; }));
  second.Write("back");
  EXPECT_TRUE(WaitFor([&] { return bytes_ == "back"; }));
  EXPECT_THAT(port_->status().detail, HasSubstr(second.name()));
}

TEST_F(SerialPortTest, APlainTtyIsFollowedByItsLink) {
  auto first = std::make_unique<Pty>();
  Link("usb-scale", first->name());
  port_ = Make({.path = first->name(), .retry_min_ms = 50});
  ASSERT_TRUE(port_->Start().ok());
  ASSERT_TRUE(WaitFor([&] { return opened_ == 1; }));
  EXPECT_THAT(port_->status().detail, HasSubstr("usb-scale"));
  ComesBack(std::move(first), by_id_, "usb-scale");
}

TEST_F(SerialPortTest, ALinkThatIsMadeAfterThePortWasOpenedIsFound) {
  auto first = std::make_unique<Pty>();
  port_ = Make({.path = first->name(), .retry_min_ms = 50});
  ASSERT_TRUE(port_->Start().ok());
  ASSERT_TRUE(WaitFor([&] { return opened_ == 1; }));
  EXPECT_THAT(port_->status().detail, Not(HasSubstr("→")));
  Link("usb-scale", first->name());
  ASSERT_TRUE(WaitForDetail("usb-scale → ")) << port_->status().detail;
  ComesBack(std::move(first), by_id_, "usb-scale");
}

TEST_F(SerialPortTest, APlainTtyIsFollowedByItsSocketWhereItsDeviceHasNoName) {
  auto first = std::make_unique<Pty>();
  LinkIn(by_path_, "pci-usb-0:1", first->name());
  port_ = Make({.path = first->name(), .retry_min_ms = 50});
  ASSERT_TRUE(port_->Start().ok());
  ASSERT_TRUE(WaitFor([&] { return opened_ == 1; }));
  EXPECT_THAT(port_->status().detail, HasSubstr("by-path/pci-usb-0:1"));
  ComesBack(std::move(first), by_path_, "pci-usb-0:1");
}

TEST_F(SerialPortTest, TheNameOfTheDeviceIsBetterThanThatOfItsSocket) {
  auto first = std::make_unique<Pty>();
  LinkIn(by_path_, "pci-usb-0:1", first->name());
  port_ = Make({.path = first->name(), .retry_min_ms = 50});
  ASSERT_TRUE(port_->Start().ok());
  ASSERT_TRUE(WaitForDetail("by-path"));
  Link("usb-scale", first->name());
  ASSERT_TRUE(WaitForDetail("by-id/usb-scale")) << port_->status().detail;
  ComesBack(std::move(first), by_id_, "usb-scale");   // in another socket: its link there leads nowhere
}

TEST_F(SerialPortTest, ALinkThatAnotherAdapterTookOverIsLetGo) {
  Pty first, second;
  Link("usb-nameless", first.name());
  LinkIn(by_path_, "pci-usb-0:1", first.name());
  port_ = Make({.path = first.name()});
  ASSERT_TRUE(port_->Start().ok());
  ASSERT_TRUE(WaitForDetail("by-id/usb-nameless"));
  Link("usb-nameless", second.name());
  EXPECT_TRUE(WaitForDetail("by-path/pci-usb-0:1 → " + first.name())) << port_->status().detail;
}

TEST_F(SerialPortTest, ALinkWhoseFolderDoesNotExistYetIsWaitedFor) {
  Pty pty;
  port_ = Make({.path = by_id_ + "/usb-scale", .retry_min_ms = 100, .retry_max_ms = 100});
  ASSERT_TRUE(port_->Start().ok());
  EXPECT_THAT(port_->status().detail, HasSubstr("waiting for it"));
  Link("usb-scale", pty.name());
  EXPECT_TRUE(WaitFor([&] { return opened_ == 1; }));
}

TEST_F(SerialPortTest, WhatIsNoSerialPortIsTold) {
  port_ = Make({.path = "/dev/null"});
  ASSERT_TRUE(port_->Start().ok());
  EXPECT_THAT(port_->status().detail, HasSubstr("no serial port"));
}

TEST(SerialOptionsTest, ImpossibleOptionsAreNamed) {
  const auto told = [](SerialOptions options) { return std::string(MessageOf(CheckSerialOptions(options))); };
  EXPECT_EQ(told({.path = "/dev/ttyS0"}), "");
  EXPECT_THAT(told({.path = "ttyS0"}), HasSubstr("port:"));
  EXPECT_THAT(told({.path = "/dev/ttyS0", .baud = 9601}), HasSubstr("baud: must be one of 300"));
  EXPECT_THAT(told({.path = "/dev/ttyS0", .data_bits = 9}), HasSubstr("data_bits"));
  EXPECT_THAT(told({.path = "/dev/ttyS0", .stop_bits = 3}), HasSubstr("stop_bits"));
}

}  // namespace
}  // namespace sluice::transport
