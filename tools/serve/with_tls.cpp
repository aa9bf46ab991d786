#include <utility>

#include "knit/tls.hpp"
#include "secure.hpp"

namespace {

/// Shakes hands, in the connection's own task.
class Secured {
public:
    explicit Secured(knit::tls::Context context) : context_(std::move(context)) {}
    knit::Coro<knit::tls::TlsStream<knit::io::TcpStream>> operator()(knit::io::TcpStream stream) const {
        return knit::tls::accept(std::move(stream), context_);
    }

private:
    knit::tls::Context context_;
};

}  // namespace

knit::Coro<knit::http::Server> serve_securely(knit::io::Endpoint endpoint, knit::http::Router router,
                                              knit::http::ServerOptions options, std::string certificate,
                                              std::string key) {
    knit::tls::Context context = knit::tls::Context::server(certificate, key);
    // "http/1.0": curl --http1.0 offers that alone.
    if (options.http2) {
        context.alpn({"h2", "http/1.1", "http/1.0"});
    } else {
        context.alpn({"http/1.1", "http/1.0"});
    }
    return knit::http::serve(std::move(endpoint), std::move(router), options, Secured(std::move(context)));
}
