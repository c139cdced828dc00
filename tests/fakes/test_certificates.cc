#include "tests/fakes/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

namespace sluice::fakes {
namespace {

void Check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "test certificates: %s failed\n", what);
  ERR_print_errors_fp(stderr);
  std::abort();
}

struct Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

std::string CertificatePem(X509* certificate) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  Check(PEM_write_bio_X509(bio.get(), certificate) == 1, "PEM_write_bio_X509");
  return Text(bio.get());
}

std::string KeyPem(EVP_PKEY* key) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  Check(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1, "PEM_write_bio_PrivateKey");
  return Text(bio.get());
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  Check(extension != nullptr, value.c_str());
  Check(X509_add_ext(certificate, extension.get(), -1) == 1, "X509_add_ext");
}

void AddCommonName(X509* certificate, const std::string& name) {
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.data()), static_cast<int>(name.size()), -1, 0);
}

// Unsigned: version, random serial, name, validity, key.
Owned<X509> Blank(const std::string& common_name, EVP_PKEY* key, long from_s, long to_s) {
  Owned<X509> certificate(X509_new());
  Check(certificate != nullptr, "X509_new");
  X509_set_version(certificate.get(), 2);
  uint64_t serial = 0;
  Check(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1, "RAND_bytes");
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1 | 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), to_s);
  X509_set_pubkey(certificate.get(), key);
  AddCommonName(certificate.get(), common_name);
  return certificate;
}

}  // namespace

struct TestAuthority::State {
  Owned<EVP_PKEY> key;
  Owned<X509> certificate;
  std::string pem;
};

TestAuthority::TestAuthority(const std::string& common_name) : state_(std::make_unique<State>()) {
  state_->key.reset(EVP_EC_gen("P-256"));
  Check(state_->key != nullptr, "EVP_EC_gen");
  state_->certificate = Blank(common_name, state_->key.get(), -3600, 24 * 3600);
  X509* certificate = state_->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(certificate, certificate, NID_subject_key_identifier, "hash");
  Check(X509_sign(certificate, state_->key.get(), EVP_sha256()) > 0, "X509_sign");
  state_->pem = CertificatePem(certificate);
}

TestAuthority::~TestAuthority() = default;

const std::string& TestAuthority::certificate_pem() const { return state_->pem; }

TestCertificate TestAuthority::Issue(const CertificateRequest& request) const {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  Check(key != nullptr, "EVP_EC_gen");
  const Owned<X509> certificate = Blank(request.common_name, key.get(), request.valid_from_s, request.valid_to_s);
  for (const std::string& name : request.more_common_names) AddCommonName(certificate.get(), name);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(state_->certificate.get()));
  AddExtension(certificate.get(), state_->certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(certificate.get(), state_->certificate.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  std::string names;
  const auto add = [&names](const char* kind, const std::string& value) {
    names += (names.empty() ? "" : ",") + std::string(kind) + ":" + value;
  };
  for (const std::string& uri : request.uris) add("URI", uri);
  for (const std::string& name : request.dns_names) add("DNS", name);
  for (const std::string& address : request.addresses) add("IP", address);
  if (!names.empty()) AddExtension(certificate.get(), state_->certificate.get(), NID_subject_alt_name, names);
  Check(X509_sign(certificate.get(), state_->key.get(), EVP_sha256()) > 0, "X509_sign");
  return {.certificate_pem = CertificatePem(certificate.get()), .private_key_pem = KeyPem(key.get())};
}

TestCertificate TestAuthority::IssueGateway(const std::string& shop, const std::string& gateway) const {
  return Issue({.common_name = gateway, .uris = {"spiffe://sluice.test/shop/" + shop + "/gateway/" + gateway}});
}

TestCertificate TestAuthority::IssueService(const std::string& name) const {
  return Issue({.common_name = name,
                .uris = {"spiffe://sluice.test/service/" + name},
                .dns_names = {"localhost", name},
                .addresses = {"127.0.0.1"}});
}

}  // namespace sluice::fakes
