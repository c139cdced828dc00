#include "devices/transport/serial_rs485.h"

#include <sys/ioctl.h>

#include <cerrno>
#include <cstdarg>

#include "base/strings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::transport {
namespace {

using ::testing::HasSubstr;

// What a driver with RS-485 was asked for; an Ioctl has no place for state of its own.
struct Asked {
  int fd = -1;
  unsigned long request = 0;
  serial_rs485 settings{};
} asked;

int Takes(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  asked = {fd, request, *va_arg(arguments, serial_rs485*)};
  va_end(arguments);
  return 0;
}

int Refuses(int, unsigned long, ...) {
  errno = ENOTTY;
  return -1;
}

TEST(SerialRs485Test, RtsIsHighWhileSending) {
  const serial_rs485 settings = Rs485Of({.path = "/dev/ttyS0", .rs485 = true});
  EXPECT_EQ(settings.flags, static_cast<uint32_t>(SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND));
  EXPECT_EQ(settings.delay_rts_before_send, 0u);
  EXPECT_EQ(settings.delay_rts_after_send, 0u);
}

TEST(SerialRs485Test, RtsIsLowWhileSendingWhereTheTransceiverWantsIt) {
  const serial_rs485 settings = Rs485Of({.path = "/dev/ttyS0", .rs485 = true, .rs485_rts_on_send = false});
  EXPECT_EQ(settings.flags, static_cast<uint32_t>(SER_RS485_ENABLED | SER_RS485_RTS_AFTER_SEND));
}

TEST(SerialRs485Test, TheDriverIsGivenFlagsAndDelays) {
  asked = {};
  const SerialOptions options{
      .path = "/dev/ttyS0", .rs485 = true, .rs485_rts_on_send = false, .rs485_delay_before_ms = 3, .rs485_delay_after_ms = 7};
  ASSERT_TRUE(SetRs485(42, options, "/dev/ttyS0", Takes).ok());
  EXPECT_EQ(asked.fd, 42);
  EXPECT_EQ(asked.request, static_cast<unsigned long>(TIOCSRS485));
  EXPECT_EQ(asked.settings.flags, static_cast<uint32_t>(SER_RS485_ENABLED | SER_RS485_RTS_AFTER_SEND));
  EXPECT_EQ(asked.settings.delay_rts_before_send, 3u);
  EXPECT_EQ(asked.settings.delay_rts_after_send, 7u);
}

TEST(SerialRs485Test, ADriverWithoutItIsNamed) {
  const absl::Status status = SetRs485(42, {.path = "/dev/ttyS0", .rs485 = true}, "/dev/ttyS0", Refuses);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("/dev/ttyS0 cannot switch the direction (TIOCSRS485: "));
}

}  // namespace
}  // namespace sluice::transport
