// What became of a request to Paho, and the words for it.
#pragma once

#include <string>

namespace sluice::transport {

// As Paho's threads tell it.
struct PahoOutcome {
  bool ok = false;
  int code = 0;
  int reason = 0;
  bool session_present = false;
  std::string message;   // Paho's own words for a failure
};

// The MQTT 5 reason code of a failure (from 0x80 on); 0: it has none.
int ReasonOf(const PahoOutcome& outcome);

// For people. `tls`: the connection was to be over TLS.
std::string Describe(const PahoOutcome& outcome, bool tls = false);

}  // namespace sluice::transport
