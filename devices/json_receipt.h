// Receipts as JSON: what goes back to devices (ARCHITECTURE.md, "Receipts").
#pragma once

#include <string>

#include "devices/event.h"

namespace sluice::devices {

// {"boot":7,"ranges":[[1,812]],"refused":[{"seq":13,"reason":"…"}],"ids":["a","b"]}; boot and ranges are left out for a
// device that does not number, refused and ids where empty. Reasons that are not UTF-8 are repaired.
std::string ReceiptToJson(const Receipt& receipt);

}  // namespace sluice::devices
