#include "base/password_hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <charconv>

#include "absl/strings/escaping.h"
#include "base/status.h"

namespace sluice {
namespace {

constexpr std::string_view kPrefix = "$scrypt$";
constexpr size_t kSaltBytes = 16, kHashBytes = 32;
constexpr uint64_t kMaxBytes = 64ull << 20;

// The PHC string format's B64: the standard alphabet without padding.
std::string ToB64(std::string_view raw) {
  std::string text = absl::Base64Escape(AsAbsl(raw));
  while (!text.empty() && text.back() == '=') text.pop_back();
  return text;
}

absl::StatusOr<std::string> FromB64(std::string_view text, size_t least, size_t most, std::string_view what) {
  std::string raw;
  // Only one spelling of each value is taken: no padding, no white space, no stray bits.
  if (text.size() > 2 * most || !absl::Base64Unescape(AsAbsl(text), &raw) || ToB64(raw) != text) {
    return absl::InvalidArgumentError(StrCat("the ", what, " is not base64 without padding"));
  }
  if (raw.size() < least || raw.size() > most) {
    return absl::InvalidArgumentError(StrCat("the ", what, " must have ", least, " to ", most, " bytes"));
  }
  return raw;
}

// "ln=14," at the beginning of *rest, up to the stop character, which goes too.
absl::StatusOr<int> TakeNumber(std::string_view name, char stop, int low, int high, std::string_view* rest) {
  const auto wrong = [&] {
    return absl::InvalidArgumentError(StrCat("must be $scrypt$ln=…,r=…,p=…$salt$hash with ", name, " from ", low, " to ", high));
  };
  if (!rest->starts_with(name)) return wrong();
  rest->remove_prefix(name.size());
  if (!rest->starts_with('=')) return wrong();
  rest->remove_prefix(1);
  int number = 0;
  const auto [end, error] = std::from_chars(rest->data(), rest->data() + rest->size(), number);
  const bool plain = !rest->empty() && rest->front() != '0' && rest->front() != '-';
  if (error != std::errc() || !plain || number < low || number > high) return wrong();
  rest->remove_prefix(static_cast<size_t>(end - rest->data()));
  if (!rest->starts_with(stop)) return wrong();
  rest->remove_prefix(1);
  return number;
}

// Empty where there is no memory.
std::string Scrypt(std::string_view password, std::string_view salt, const ScryptCost& cost, size_t size) {
  std::string out(size, '\0');
  const uint64_t most = 2 * cost.Bytes() + (1u << 20);   // OpenSSL counts a little beside the big array
  if (EVP_PBE_scrypt(password.data(), password.size(), reinterpret_cast<const uint8_t*>(salt.data()), salt.size(),
                     1ull << cost.log_n, static_cast<uint64_t>(cost.r), static_cast<uint64_t>(cost.p), most,
                     reinterpret_cast<uint8_t*>(out.data()), out.size()) != 1) {
    out.clear();
  }
  return out;
}

}  // namespace

std::string PasswordHash::ToString() const {
  return StrCat(kPrefix, "ln=", cost.log_n, ",r=", cost.r, ",p=", cost.p, "$", ToB64(salt), "$", ToB64(hash));
}

absl::StatusOr<PasswordHash> PasswordHash::Parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) return absl::InvalidArgumentError("must begin with $scrypt$");
  std::string_view rest = text.substr(kPrefix.size());
  PasswordHash parsed;
  ASSIGN_OR_RETURN(parsed.cost.log_n, TakeNumber("ln", ',', 10, 20, &rest));
  ASSIGN_OR_RETURN(parsed.cost.r, TakeNumber("r", ',', 1, 32, &rest));
  ASSIGN_OR_RETURN(parsed.cost.p, TakeNumber("p", '$', 1, 16, &rest));
  if (parsed.cost.Bytes() > kMaxBytes) {
    return absl::InvalidArgumentError(StrCat("one verification would take more than ", kMaxBytes >> 20, " MiB"));
  }
  const size_t dollar = rest.find('$');
  if (dollar == std::string_view::npos) return absl::InvalidArgumentError("the hash is missing");
  ASSIGN_OR_RETURN(parsed.salt, FromB64(rest.substr(0, dollar), 8, 64, "salt"));
  ASSIGN_OR_RETURN(parsed.hash, FromB64(rest.substr(dollar + 1), 16, 64, "hash"));
  return parsed;
}

absl::StatusOr<PasswordHash> HashPassword(std::string_view password, const ScryptCost& cost, Random& random) {
  if (password.empty() || password.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("a password has at least one byte and no NUL");
  }
  std::array<uint8_t, kSaltBytes> salt;
  random.Fill(salt);
  PasswordHash made;
  made.cost = cost;
  made.salt.assign(reinterpret_cast<const char*>(salt.data()), salt.size());
  made.hash = Scrypt(password, made.salt, cost, kHashBytes);
  if (made.hash.empty()) return absl::ResourceExhaustedError("scrypt: not enough memory");
  return made;
}

bool IsPassword(std::string_view password, const PasswordHash& hash) {
  const std::string computed = Scrypt(password, hash.salt, hash.cost, hash.hash.size());
  // HMAC fills its key up with NULs, so that scrypt cannot tell a password from the same with NULs behind it.
  if (password.find('\0') != std::string_view::npos) return false;
  return computed.size() == hash.hash.size() && CRYPTO_memcmp(computed.data(), hash.hash.data(), computed.size()) == 0;
}

std::string GeneratePassword(Random& random) {
  // Without the letters that are taken for digits or for each other.
  static constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  static_assert(kAlphabet.size() == 32);
  std::array<uint8_t, 26> bytes;
  random.Fill(bytes);
  std::string out;
  for (const uint8_t byte : bytes) out += kAlphabet[byte & 31];
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return out;
}

}  // namespace sluice
