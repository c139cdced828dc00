#include "sync/certificate_check.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <memory>

namespace sluice::sync {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(STACK_OF(X509)* certificates) const { sk_X509_pop_free(certificates, X509_free); }
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

int NoPassword(char*, int, int, void*) { return -1; }

Owned<STACK_OF(X509)> Certificates(std::string_view pem) {
  Owned<STACK_OF(X509)> found(sk_X509_new_null());
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) sk_X509_push(found.get(), certificate);
  ERR_clear_error();
  return found;
}

}  // namespace

std::string DoubtAbout(std::string_view certificate_pem, std::string_view authorities_pem, int64_t now_ms) {
  const Owned<STACK_OF(X509)> chain = Certificates(certificate_pem);
  const Owned<STACK_OF(X509)> authorities = Certificates(authorities_pem);
  if (sk_X509_num(chain.get()) == 0) return "no PEM certificate";
  const Owned<X509_STORE> store(X509_STORE_new());
  for (int i = 0; i < sk_X509_num(authorities.get()); ++i) X509_STORE_add_cert(store.get(), sk_X509_value(authorities.get(), i));
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);   // as gRPC verifies
  const Owned<X509_STORE_CTX> context(X509_STORE_CTX_new());
  std::string doubt;
  if (X509_STORE_CTX_init(context.get(), store.get(), sk_X509_value(chain.get(), 0), chain.get()) != 1) {
    doubt = "OpenSSL cannot verify it";
  } else {
    X509_VERIFY_PARAM* const how = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(how, static_cast<time_t>(now_ms / 1000));
    X509_VERIFY_PARAM_set_purpose(how, X509_PURPOSE_SSL_CLIENT);
    if (X509_verify_cert(context.get()) != 1) doubt = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
  }
  ERR_clear_error();
  return doubt;
}

}  // namespace sluice::sync
