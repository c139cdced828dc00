#include "cloud/service_schema.h"

#include "base/strings.h"
#include "cloud/attendance/punch_applier.h"
#include "cloud/eventbus/outbox_writer.h"
#include "cloud/ingest/sql_cursor_store.h"
#include "cloud/inventory/stock_applier.h"
#include "cloud/retention/age_marks.h"
#include "cloud/shop/device_applier.h"

namespace sluice::cloud {

absl::StatusOr<std::vector<store::Component>> SchemaOf(const std::string& service) {
  std::vector<store::Component> schema = {eventbus::Schema(), ingest::Schema(), retention::Schema()};
  if (service == "shop") {
    schema.push_back(shop::Schema());
  } else if (service == "inventory") {
    schema.push_back(inventory::Schema());
  } else if (service == "attendance") {
    schema.push_back(attendance::Schema());
  } else {
    return absl::InvalidArgumentError(StrCat("no such service: ", service));
  }
  return schema;
}

}  // namespace sluice::cloud
