// Cuts connections of a library that does not let us.
#pragma once

#include "devices/transport/mqtt.h"

namespace sluice::transport {

// shutdown(2), both directions, on every TCP socket of this process that is connected to the address's port: on its host
// as far as the host is numeric, on any host otherwise (a name may mean another address now). Returns how many. Other
// sessions of this process with the same broker are cut too; they come back by themselves and lose nothing.
int ShutConnectionsTo(const MqttAddress& address);

}  // namespace sluice::transport
