// The cursor store as one stream sees it: what the stream's certificate says of the shop goes into Open.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cloud/ingest/sql_cursor_store.h"

namespace sluice::ingest {

class CertifiedStore final : public CursorStore {
 public:
  CertifiedStore(std::string certified_shop, SqlCursorStore& store) : shop_(std::move(certified_shop)), store_(store) {}

  absl::StatusOr<Opening> Open(const std::string& gateway, Queue queue, const std::string& hardware_id,
                               const std::vector<Epoch>& epochs) override {
    return store_.OpenFor(shop_, gateway, queue, hardware_id, epochs);
  }
  absl::StatusOr<Applied> Apply(const Lease& lease, const EpochId& epoch, const std::vector<Item>& items) override {
    return store_.Apply(lease, epoch, items);
  }
  absl::Status Renew(const Lease& lease) override { return store_.Renew(lease); }
  void Release(const Lease& lease) override { store_.Release(lease); }

 private:
  const std::string shop_;
  SqlCursorStore& store_;
};

}  // namespace sluice::ingest
