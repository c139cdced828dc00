// Certificates made at test time (no keys in the repository): an authority and what it issues, in PEM.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace sluice::fakes {

struct TestCertificate {
  std::string certificate_pem;
  std::string private_key_pem;
};

struct CertificateRequest {
  std::string common_name = "test";
  std::vector<std::string> more_common_names;
  std::vector<std::string> uris;        // URI SANs
  std::vector<std::string> dns_names;   // DNS SANs
  std::vector<std::string> addresses;   // IP SANs, dotted
  long valid_from_s = -3600;            // from now
  long valid_to_s = 24 * 3600;
};

// An EC P-256 authority. Aborts the test program on any failure of OpenSSL.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& common_name = "Sluice test authority");
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  const std::string& certificate_pem() const;
  TestCertificate Issue(const CertificateRequest& request) const;
  // With the one URI SAN spiffe://sluice.test/shop/<shop>/gateway/<gateway>.
  TestCertificate IssueGateway(const std::string& shop, const std::string& gateway) const;
  // For localhost and 127.0.0.1, with the URI SAN spiffe://sluice.test/service/<name>.
  TestCertificate IssueService(const std::string& name) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::fakes
