// Devices that speak MQTT to the gateway itself, without a broker in between.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "devices/driver.h"
#include "devices/transport/mqtt_listener.h"

namespace sluice::native {

// [[listener]] of the configuration.
struct ListenerSourceConfig {
  std::string name = "main";   // the source is called listener:<name>
  transport::MqttListenerOptions options;
};

// Topics and bodies as in decode.h, from the devices they name and from no others. PUBACK (PUBREC at QoS 2) means that the
// event is safe: on flash or in the cloud (delivery rule R3). A refused event is recorded, and so is anything else below
// sluice/v1/ that is no event's topic; v5 clients are told why in PUBACK, for 3.1.1 it is merely acknowledged. Without room
// nothing is acknowledged until there is some. QoS 0 is taken without promise. A retain flag changes nothing for an event: it
// came just now and from no broker's memory. MQTT properties are not kept with it. Other topics that a device may use are kept
// for it, in memory, where they are to be retained, and counted; they are no events. Receipts go to devices that subscribe to
// sluice/v1/<device>/ack; they need none.
//
// Shut the sink down before Stop. `sink`, `clock` and `random` must outlive it.
std::unique_ptr<devices::Driver> MakeListenerSource(ListenerSourceConfig config, devices::EventSink& sink, const Clock& clock,
                                                    Random& random);

}  // namespace sluice::native
