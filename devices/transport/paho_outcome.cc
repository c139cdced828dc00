#include "devices/transport/paho_outcome.h"

#include "MQTTAsync.h"
#include "MQTTReasonCodes.h"
#include "base/strings.h"

namespace sluice::transport {

// Paho puts an MQTT 5 reason now here, now there, and 255 where there is none.
int ReasonOf(const PahoOutcome& outcome) {
  for (int reason : {outcome.reason, outcome.code}) {
    if (reason >= MQTTREASONCODE_UNSPECIFIED_ERROR && reason != 255) return reason;
  }
  return 0;
}

std::string Describe(const PahoOutcome& outcome, bool tls) {
  if (ReasonOf(outcome) >= MQTTREASONCODE_UNSPECIFIED_ERROR) {
    const char* text = MQTTReasonCode_toString(static_cast<MQTTReasonCodes>(ReasonOf(outcome)));
    return StrCat("the broker refused: ", text != nullptr ? text : "unknown", " (", ReasonOf(outcome), ")");
  }
  // MQTT 3.1.1, section 3.2.2.3: return codes of CONNACK.
  switch (outcome.code) {
    case 1: return "the broker refused: unacceptable protocol version";
    case 2: return "the broker refused: client identifier not allowed";
    case 3: return "the broker refused: server unavailable";
    case 4: return "the broker refused: bad user name or password";
    case 5: return "the broker refused: not authorized";
    case -1:
      return StrCat(outcome.message.empty() ? std::string("no connection") : outcome.message,
                    tls ? "; or the certificates do not fit (see the broker's log)" : "");
    default: break;
  }
  const char* text = MQTTAsync_strerror(outcome.code);
  return StrCat(text != nullptr ? text : "unknown failure", " (", outcome.code, ")");
}

}  // namespace sluice::transport
