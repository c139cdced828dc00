#include "cloud/store/statement.h"

#include <cstring>
#include <deque>
#include <string>

#include "cloud/store/soci_library.h"

namespace sluice::store {

// SOCI binds by address: these stay where they are from the preparation on, and keep their capacity.
struct Statement::Slots {
  struct Slot {
    long long integer = 0;
    std::string text;
    std::unique_ptr<soci::blob> bytes;
    soci::indicator indicator = soci::i_ok;
  };

  explicit Slots(soci::session& session) : statement(session) {}

  std::deque<Slot> in, out;
  soci::statement statement;
};

Statement::Statement(soci::session& session, const Sql& sql, bool& broken)
    : session_(session), sql_(sql), broken_(broken) {}

Statement::~Statement() = default;

absl::Status Statement::Prepare() {
  auto slots = std::make_unique<Slots>(session_);
  absl::Status status = Guard(broken_, [&] {
    slots->statement.alloc();
    slots->statement.prepare(sql_.text);
    for (const char* type = sql_.in; *type != 0; ++type) {
      Slots::Slot& slot = slots->in.emplace_back();
      switch (*type) {
        case 'i': slots->statement.exchange(soci::use(slot.integer, slot.indicator)); break;
        case 't': slots->statement.exchange(soci::use(slot.text, slot.indicator)); break;
        default:
          slot.bytes = std::make_unique<soci::blob>(session_);
          slots->statement.exchange(soci::use(*slot.bytes, slot.indicator));
      }
    }
    for (const char* type = sql_.out; *type != 0; ++type) {
      Slots::Slot& slot = slots->out.emplace_back();
      switch (*type) {
        case 'i': slots->statement.exchange(soci::into(slot.integer, slot.indicator)); break;
        case 't': slots->statement.exchange(soci::into(slot.text, slot.indicator)); break;
        default:
          slot.bytes = std::make_unique<soci::blob>(session_);
          slots->statement.exchange(soci::into(*slot.bytes, slot.indicator));
      }
    }
    slots->statement.define_and_bind();
  });
  if (status.ok()) slots_ = std::move(slots);
  return status;
}

void Statement::BindInt(int64_t value) {
  if (slots_ == nullptr && !Prepare().ok()) return;
  if (next_ >= slots_->in.size()) return void(++next_);
  Slots::Slot& slot = slots_->in[next_++];
  slot.integer = value;
  slot.indicator = soci::i_ok;
}

void Statement::BindText(std::string_view text) {
  if (slots_ == nullptr && !Prepare().ok()) return;
  if (next_ >= slots_->in.size()) return void(++next_);
  Slots::Slot& slot = slots_->in[next_++];
  slot.indicator = soci::i_ok;
  if (slot.bytes != nullptr) {
    absl::Status status = Guard(broken_, [&] {
      slot.bytes->trim(0);
      if (!text.empty()) slot.bytes->write(0, text.data(), text.size());
    });
    if (!status.ok()) bind_status_ = std::move(status);
  } else {
    slot.text.assign(text);
  }
}

void Statement::BindNull() {
  if (slots_ == nullptr && !Prepare().ok()) return;
  if (next_ >= slots_->in.size()) return void(++next_);
  slots_->in[next_++].indicator = soci::i_null;
}

absl::StatusOr<int64_t> Statement::Execute() {
  if (slots_ == nullptr) {
    if (absl::Status status = Prepare(); !status.ok()) return status;
  }
  if (next_ != slots_->in.size()) return absl::InternalError(StrCat("values do not fit: ", sql_.text));
  if (!bind_status_.ok()) return std::exchange(bind_status_, absl::OkStatus());
  int64_t affected = 0;
  absl::Status status = Guard(broken_, [&] {
    slots_->statement.execute(true);
    affected = slots_->statement.get_affected_rows();
  });
  if (!status.ok()) return status;
  return affected;
}

absl::Status Statement::Begin() {
  if (slots_ == nullptr) {
    if (absl::Status status = Prepare(); !status.ok()) return status;
  }
  if (next_ != slots_->in.size()) return absl::InternalError(StrCat("values do not fit: ", sql_.text));
  if (!bind_status_.ok()) return std::exchange(bind_status_, absl::OkStatus());
  return Guard(broken_, [&] { slots_->statement.execute(false); });
}

absl::StatusOr<bool> Statement::Next() {
  bool row = false;
  absl::Status status = Guard(broken_, [&] {
    row = slots_->statement.fetch();
    if (!row) return;
    for (Slots::Slot& slot : slots_->out) {
      if (slot.bytes == nullptr || slot.indicator == soci::i_null) continue;
      slot.text.resize(slot.bytes->get_len());
      if (!slot.text.empty()) slot.bytes->read(0, slot.text.data(), slot.text.size());
    }
  });
  if (!status.ok()) return status;
  return row;
}

int64_t Statement::Int(size_t column) const { return IsNull(column) ? 0 : slots_->out[column].integer; }
std::string_view Statement::Text(size_t column) const {
  return IsNull(column) ? std::string_view() : std::string_view(slots_->out[column].text);
}
bool Statement::IsNull(size_t column) const { return slots_->out[column].indicator == soci::i_null; }

}  // namespace sluice::store
