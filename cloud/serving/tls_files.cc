#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/file.h"
#include "base/status.h"
#include "cloud/serving/server.h"

namespace sluice::serving {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

absl::Status CheckFile(const std::string& path, std::string_view what, bool secret) {
  if (path.empty()) return absl::InvalidArgumentError(StrCat(what, ": no file is configured"));
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return absl::NotFoundError(StrCat(what, " ", path, ": ", std::strerror(errno)));
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(StrCat(what, " ", path, ": not a file"));
  if (secret && (info.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(StrCat(what, " ", path, ": others may read or write it; chmod 600 it"));
  }
  return absl::OkStatus();
}

Owned<BIO> Open(const std::string& text) { return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// The first certificate of the file.
absl::StatusOr<Owned<X509>> ReadCertificate(const std::string& path, std::string_view what) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Owned<X509> certificate(PEM_read_bio_X509(Open(text).get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return absl::InvalidArgumentError(StrCat(what, " ", path, ": no certificate (PEM) in it"));
  return certificate;
}

// Nobody is there to type one in.
int NoPassphrase(char*, int, int, void*) { return -1; }

}  // namespace

absl::Status CheckTlsFiles(const TlsFiles& files) {
  RETURN_IF_ERROR(CheckFile(files.certificate, "certificate", false));
  RETURN_IF_ERROR(CheckFile(files.private_key, "private key", true));
  RETURN_IF_ERROR(CheckFile(files.authorities, "authorities", false));
  RETURN_IF_ERROR(ReadCertificate(files.authorities, "authorities").status());
  ASSIGN_OR_RETURN(const Owned<X509> certificate, ReadCertificate(files.certificate, "certificate"));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(files.private_key));
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(Open(text).get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(StrCat("private key ", files.private_key, ": no key (PEM, no passphrase) in it"));
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        StrCat("private key ", files.private_key, ": not the key of certificate ", files.certificate));
  }
  return absl::OkStatus();
}

}  // namespace sluice::serving
