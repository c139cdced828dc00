#include "devices/transport/mqtt_packet_reasons.h"

#include <array>
#include <cstdint>

namespace sluice::transport {
namespace {

enum Column : uint16_t {
  kConnackColumn = 1 << 0,
  kPubackColumn = 1 << 1,   // PUBREC too
  kPubrelColumn = 1 << 2,   // PUBCOMP too
  kSubackColumn = 1 << 3,
  kUnsubackColumn = 1 << 4,
  kDisconnectOfClient = 1 << 5,
  kDisconnectOfServer = 1 << 6,
  kAuthOfClient = 1 << 7,
  kAuthOfServer = 1 << 8,
};

constexpr std::array<uint16_t, 256> MakeTable() {
  using R = MqttReason;
  std::array<uint16_t, 256> table{};
  const auto row = [&table](R reason, int columns) { table[static_cast<uint8_t>(reason)] = static_cast<uint16_t>(columns); };
  constexpr int kDisconnect = kDisconnectOfClient | kDisconnectOfServer;
  row(R::kSuccess, kConnackColumn | kPubackColumn | kPubrelColumn | kSubackColumn | kUnsubackColumn | kDisconnect | kAuthOfServer);
  row(R::kGrantedQos1, kSubackColumn);
  row(R::kGrantedQos2, kSubackColumn);
  row(R::kDisconnectWithWill, kDisconnectOfClient);
  row(R::kNoMatchingSubscribers, kPubackColumn);
  row(R::kNoSubscriptionExisted, kUnsubackColumn);
  row(R::kContinueAuthentication, kAuthOfClient | kAuthOfServer);
  row(R::kReauthenticate, kAuthOfClient);
  row(R::kUnspecifiedError, kConnackColumn | kPubackColumn | kSubackColumn | kUnsubackColumn | kDisconnect);
  row(R::kMalformedPacket, kConnackColumn | kDisconnect);
  row(R::kProtocolError, kConnackColumn | kDisconnect);
  row(R::kImplementationSpecificError, kConnackColumn | kPubackColumn | kSubackColumn | kUnsubackColumn | kDisconnect);
  row(R::kUnsupportedProtocolVersion, kConnackColumn);
  row(R::kClientIdentifierNotValid, kConnackColumn);
  row(R::kBadUserNameOrPassword, kConnackColumn);
  row(R::kNotAuthorized, kConnackColumn | kPubackColumn | kSubackColumn | kUnsubackColumn | kDisconnectOfServer);
  row(R::kServerUnavailable, kConnackColumn);
  row(R::kServerBusy, kConnackColumn | kDisconnectOfServer);
  row(R::kBanned, kConnackColumn);
  row(R::kServerShuttingDown, kDisconnectOfServer);
  row(R::kBadAuthenticationMethod, kConnackColumn | kDisconnectOfServer);
  row(R::kKeepAliveTimeout, kDisconnectOfServer);
  row(R::kSessionTakenOver, kDisconnectOfServer);
  row(R::kTopicFilterInvalid, kSubackColumn | kUnsubackColumn | kDisconnectOfServer);
  row(R::kTopicNameInvalid, kConnackColumn | kPubackColumn | kDisconnect);
  row(R::kPacketIdentifierInUse, kPubackColumn | kSubackColumn | kUnsubackColumn);
  row(R::kPacketIdentifierNotFound, kPubrelColumn);
  row(R::kReceiveMaximumExceeded, kDisconnect);
  row(R::kTopicAliasInvalid, kDisconnect);
  row(R::kPacketTooLarge, kConnackColumn | kDisconnect);
  row(R::kMessageRateTooHigh, kDisconnect);
  row(R::kQuotaExceeded, kConnackColumn | kPubackColumn | kSubackColumn | kDisconnect);
  row(R::kAdministrativeAction, kDisconnect);
  row(R::kPayloadFormatInvalid, kConnackColumn | kPubackColumn | kDisconnect);
  row(R::kRetainNotSupported, kConnackColumn | kDisconnectOfServer);
  row(R::kQosNotSupported, kConnackColumn | kDisconnectOfServer);
  row(R::kUseAnotherServer, kConnackColumn | kDisconnectOfServer);
  row(R::kServerMoved, kConnackColumn | kDisconnectOfServer);
  row(R::kSharedSubscriptionsNotSupported, kSubackColumn | kDisconnectOfServer);
  row(R::kConnectionRateExceeded, kConnackColumn | kDisconnectOfServer);
  row(R::kMaximumConnectTime, kDisconnectOfServer);
  row(R::kSubscriptionIdentifiersNotSupported, kSubackColumn | kDisconnectOfServer);
  row(R::kWildcardSubscriptionsNotSupported, kSubackColumn | kDisconnectOfServer);
  return table;
}

constexpr std::array<uint16_t, 256> kTable = MakeTable();

int ColumnOf(MqttType type, MqttSender sender) {
  const bool client = sender == MqttSender::kClient;
  switch (type) {
    case MqttType::kConnack: return kConnackColumn;
    case MqttType::kPuback:
    case MqttType::kPubrec: return kPubackColumn;
    case MqttType::kPubrel:
    case MqttType::kPubcomp: return kPubrelColumn;
    case MqttType::kSuback: return kSubackColumn;
    case MqttType::kUnsuback: return kUnsubackColumn;
    case MqttType::kDisconnect: return client ? kDisconnectOfClient : kDisconnectOfServer;
    case MqttType::kAuth: return client ? kAuthOfClient : kAuthOfServer;
    default: return 0;
  }
}

}  // namespace

bool MqttReasonFits(MqttType type, MqttSender sender, MqttReason reason) {
  return (kTable[static_cast<uint8_t>(reason)] & ColumnOf(type, sender)) != 0;
}

}  // namespace sluice::transport
