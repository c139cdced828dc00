// A prepared statement of the service's store: values in, rows out, errors as absl::Status.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace soci {
class session;
}

namespace sluice::store {

// SQL text with the types of its parameters and result columns: i integer of 64 bits, t text, b bytes. Constants; a
// connection keeps the prepared form by the address.
struct Sql {
  const char* text;
  const char* in = "";
  const char* out = "";
};

// Goes into a column of bytes.
struct Bytes {
  std::string_view view;
};

// For one thread at a time; owned by its connection.
class Statement {
 public:
  Statement(soci::session& session, const Sql& sql, bool& broken);
  ~Statement();

  // Runs it with these values; the count of rows inserted, updated or deleted.
  template <typename... Values>
  absl::StatusOr<int64_t> Run(const Values&... values) {
    next_ = 0;
    (Bind(values), ...);
    return Execute();
  }

  // Begins a query; Next moves to the first and every further row. Read it to its end, or the snapshot stays held.
  template <typename... Values>
  absl::Status Query(const Values&... values) {
    next_ = 0;
    (Bind(values), ...);
    return Begin();
  }
  absl::StatusOr<bool> Next();

  // Of the current row, from 0; valid until the next call of Next, Query or Run.
  int64_t Int(size_t column) const;
  std::string_view Text(size_t column) const;   // t and b
  bool IsNull(size_t column) const;

 private:
  struct Slots;

  void Bind(std::integral auto value) { BindInt(static_cast<int64_t>(value)); }
  void Bind(std::string_view text) { BindText(text); }
  void Bind(const char* text) { BindText(text); }
  void Bind(const Bytes& bytes) { BindText(bytes.view); }
  void Bind(std::nullopt_t) { BindNull(); }
  void Bind(const std::optional<int64_t>& value) { value ? BindInt(*value) : BindNull(); }

  void BindInt(int64_t value);
  void BindText(std::string_view text);
  void BindNull();
  absl::StatusOr<int64_t> Execute();
  absl::Status Begin();
  absl::Status Prepare();

  soci::session& session_;
  const Sql& sql_;
  bool& broken_;
  size_t next_ = 0;
  absl::Status bind_status_;   // of the values since the last run
  std::unique_ptr<Slots> slots_;
};

}  // namespace sluice::store
