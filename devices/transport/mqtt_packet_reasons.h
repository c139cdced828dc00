// Which packet may carry which reason code (5.0, table 2-6 and the tables of section 3).
#pragma once

#include "devices/transport/mqtt_packet.h"

namespace sluice::transport {

bool MqttReasonFits(MqttType type, MqttSender sender, MqttReason reason);

}  // namespace sluice::transport
