/// Context: how this side does TLS: its certificates, whom it trusts, what it speaks. Python's ssl.SSLContext.
#pragma once

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace knit::detail {

class TlsContextState;

}  // namespace knit::detail

namespace knit::tls {

enum class Version { tls1_2, tls1_3 };

enum class VerifyMode {
    none,      ///< whoever it is
    optional,  ///< of a server: a client need not show a certificate, but what it shows must be good
    required
};

/// Whom a client trusts from the start.
enum class Roots {
    system,  ///< the certificates that the system has for that
    none     ///< nobody but those that load_verify_locations() names
};

/// A handle to settings that many connections, on all loops, share; copies are the same settings. The setters are for
/// one thread and for the time before the first connection: RuntimeError afterwards. They throw TlsError, or
/// std::system_error for a file that cannot be read, and give the Context back, so that they can be written in a row.
/// Those that name files read them at the call.
class Context {
public:
    /// For connecting: servers are verified by the roots of the system and by their names; TLS 1.2 or newer; sessions
    /// are resumed. Reading the system's roots may take 0.1 s: make one Context, before the loops run, for all.
    static Context client(Roots roots = Roots::system);
    /// For accepting; needs load_cert_chain(). Clients are not asked for certificates; TLS 1.2 or newer.
    static Context server();
    /// The same with its certificate.
    static Context server(const std::filesystem::path& chain, const std::filesystem::path& key = {});

    /// This side's certificate, those between it and the root behind it, and its private key, as PEM files; without
    /// `key` that is in the first one too. May be called again with a key of another kind (RSA, EC): the peer decides.
    Context& load_cert_chain(const std::filesystem::path& chain, const std::filesystem::path& key = {},
                             const std::string& password = {});
    /// The same from PEM text.
    Context& use_cert_chain(std::string_view chain, std::string_view key, const std::string& password = {});

    /// Trusts the certificates in this PEM file, or in this directory (made by `openssl rehash`), too.
    Context& load_verify_locations(const std::filesystem::path& where);
    /// The same from PEM text.
    Context& use_verify_certificates(std::string_view pem);
    Context& verify_mode(VerifyMode mode);
    /// Of a client, on by default: whether the certificate has to be for the host that was asked for.
    Context& check_hostname(bool on);

    /// What is spoken over TLS, best first: {"h2", "http/1.1"}. A server picks the first that the client offers too;
    /// where there is none in common, the handshake fails. A client that offers nothing is welcome.
    Context& alpn(std::initializer_list<std::string_view> protocols);
    Context& minimum_version(Version version);
    Context& maximum_version(Version version);
    /// OpenSSL's cipher list for TLS 1.2, "ECDHE+AESGCM", say.
    Context& ciphers(const std::string& list);
    /// On by default: whether sessions are resumed, by tickets. A client keeps the newest four for a host, of 256
    /// hosts; a resumed session is not verified again, a Context verifies alike all its life.
    Context& resumption(bool on);

    /// Of a server: clients that ask for `name` get all that `other` is set to: certificate, verification of clients,
    /// ALPN, versions, ciphers, resumption.
    /// "*.example.org" is every name one label longer. Who asks for another name, or none, gets this Context's own.
    Context& add_server_name(std::string name, const Context& other);
    /// Asked first, with the name in lower case ("" for none); nothing: as if there were no callback. What it throws
    /// refuses the client by a TlsError of Errc::setup with that nested; so does, by a ValueError, a Context without a
    /// certificate or a client's. Called on any loop.
    using NameCallback = std::function<std::optional<Context>(std::string_view name)>;
    Context& server_name_callback(NameCallback callback);

    bool is_server() const noexcept;
    /// Knit's own use.
    const std::shared_ptr<knit::detail::TlsContextState>& state() const noexcept { return state_; }

private:
    explicit Context(std::shared_ptr<knit::detail::TlsContextState> state) noexcept : state_(std::move(state)) {}
    knit::detail::TlsContextState& changeable() const;

    std::shared_ptr<knit::detail::TlsContextState> state_;
};

}  // namespace knit::tls
