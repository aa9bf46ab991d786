/// Certificates made on the spot, so that none is kept and none runs out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>

namespace knit::test {

/// A certificate chain and its key, in PEM.
struct Identity {
    std::string chain;
    std::string key;
};

struct Wanted {
    std::string name = "server.test";                               ///< its CN
    std::vector<std::string> hosts = {"DNS:server.test", "IP:127.0.0.1"};
    long from_seconds = -3600;  ///< validity, from now
    long to_seconds = 3600;
};

/// Signs certificates.
class Authority {
public:
    explicit Authority(const std::string& name);

    Identity issue(const Wanted& wanted = {}) const;
    /// An authority that this one has signed; what it issues has its certificate in the chain.
    Authority intermediate(const std::string& name) const;
    /// Its own certificate.
    const std::string& pem() const { return pem_; }

private:
    using Key = std::shared_ptr<EVP_PKEY>;
    using Certificate = std::shared_ptr<X509>;

    Authority(const std::string& name, const Authority* parent);
    Certificate sign(const Wanted& wanted, EVP_PKEY* key, bool is_authority, const Authority* by) const;

    Key key_;
    Certificate certificate_;
    std::string pem_;
    std::string chain_;  ///< itself and what is above, without the root
};

/// `identity` as files under a new directory, which goes with this.
class IdentityFiles {
public:
    explicit IdentityFiles(const Identity& identity, const std::string& authority = {});
    IdentityFiles(const IdentityFiles&) = delete;
    IdentityFiles& operator=(const IdentityFiles&) = delete;
    ~IdentityFiles();

    std::string chain() const { return directory_ + "/chain.pem"; }
    std::string key() const { return directory_ + "/key.pem"; }
    std::string authority() const { return directory_ + "/authority.pem"; }
    const std::string& directory() const { return directory_; }

private:
    std::string directory_;
};

}  // namespace knit::test
