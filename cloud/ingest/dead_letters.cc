#include "cloud/ingest/dead_letters.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_split.h"
#include "base/status.h"

namespace sluice::ingest {
namespace {

constexpr store::Sql kList{
    "SELECT d.gateway, d.queue, d.epoch, d.number, d.reason, d.bytes, d.at_ms, coalesce(e.shop, '') "
    "FROM dead_letters d LEFT JOIN epochs e ON e.gateway = d.gateway AND e.epoch = d.epoch "
    "WHERE (d.at_ms, d.gateway, d.queue, d.epoch, d.number) > (?, ?, ?, ?, ?) "
    "AND (? = '' OR d.gateway = ?) AND (? = '' OR d.queue = ?) "
    "ORDER BY d.at_ms, d.gateway, d.queue, d.epoch, d.number LIMIT ?",
    "ittti" "tttti", "tttit" "bit"};
constexpr store::Sql kFind{
    "SELECT d.gateway, d.queue, d.epoch, d.number, d.reason, d.bytes, d.at_ms, coalesce(e.shop, '') "
    "FROM dead_letters d LEFT JOIN epochs e ON e.gateway = d.gateway AND e.epoch = d.epoch "
    "WHERE d.gateway = ? AND d.queue = ? AND d.epoch = ? AND d.number = ?",
    "ttti", "tttit" "bit"};

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

BuriedRecord RecordOf(const store::Statement& row) {
  BuriedRecord record;
  record.key = {.gateway = std::string(row.Text(0)),
                .queue = QueueFromName(row.Text(1)).value_or(Queue::kShopBulk),
                .epoch = EpochId::Parse(row.Text(2)).value_or(EpochId{}),
                .number = static_cast<uint64_t>(row.Int(3))};
  record.reason = row.Text(4);
  record.bytes = row.Text(5);
  record.at_ms = row.Int(6);
  record.shop = row.Text(7);
  return record;
}

}  // namespace

std::string DeadLetterKey::ToId() const {
  return StrCat(gateway, "/", QueueName(queue), "/", epoch.ToHex(), "/", number);
}

std::optional<DeadLetterKey> DeadLetterKey::Parse(std::string_view id) {
  const std::vector<std::string> parts = absl::StrSplit(AsAbsl(id), '/');
  if (parts.size() != 4 || parts[0].empty()) return std::nullopt;
  const auto queue = QueueFromName(parts[1]);
  const auto epoch = EpochId::Parse(parts[2]);
  const auto number = ParseNumber<uint64_t>(parts[3]);
  if (!queue || !epoch || !number || *number == 0) return std::nullopt;
  return DeadLetterKey{.gateway = parts[0], .queue = *queue, .epoch = *epoch, .number = *number};
}

absl::StatusOr<DeadLetterPage> ListDeadLetters(store::Store& store, const DeadLetterQuery& query) {
  DeadLetterKey after;
  int64_t after_ms = INT64_MIN;
  if (!query.after.empty()) {
    const size_t slash = std::min(query.after.find('/'), query.after.size() - 1);
    const auto at_ms = ParseNumber<int64_t>(std::string_view(query.after).substr(0, slash));
    const auto key = DeadLetterKey::Parse(std::string_view(query.after).substr(slash + 1));
    if (!at_ms || !key) return absl::InvalidArgumentError("page_token: not one that this method gave");
    after = *key;
    after_ms = *at_ms;
  }
  DeadLetterPage page;
  RETURN_IF_ERROR(store.Read([&](store::Transaction& transaction) -> absl::Status {
    const std::string after_queue(query.after.empty() ? "" : QueueName(after.queue));
    ASSIGN_OR_RETURN(store::Statement * rows,
                     transaction.Query(kList, after_ms, after.gateway, after_queue, after.epoch.ToHex(), after.number,
                                       query.gateway, query.gateway, query.queue, query.queue, query.limit + 1));
    size_t bytes = 0;
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, rows->Next());
      if (!more) return absl::OkStatus();
      bytes += rows->Text(5).size();
      if (page.letters.size() == query.limit || (bytes > query.max_bytes && !page.letters.empty())) {
        const BuriedRecord& last = page.letters.back();
        page.next = StrCat(last.at_ms, "/", last.key.ToId());
        return absl::OkStatus();
      }
      page.letters.push_back(RecordOf(*rows));
    }
  }));
  return page;
}

absl::StatusOr<BuriedRecord> FindDeadLetter(store::Transaction& transaction, const DeadLetterKey& key) {
  ASSIGN_OR_RETURN(store::Statement * row,
                   transaction.Find(kFind, key.gateway, QueueName(key.queue), key.epoch.ToHex(), key.number));
  if (row == nullptr) return absl::NotFoundError("no such dead letter; was it requeued or dropped?");
  return RecordOf(*row);
}

}  // namespace sluice::ingest
