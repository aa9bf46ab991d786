#include "../transport.hpp"
#include "knit/tls.hpp"
#include "knit/to_thread.hpp"

namespace knit::http::detail {
namespace {

/// Made at the first use.
const tls::Context* default_context() {
    static const tls::Context context = tls::Context::client();
    return &context;
}

}  // namespace

Coro<std::unique_ptr<Transport>> secure(io::TcpStream stream, Url url, const tls::Context* context, Duration limit,
                                        std::string_view alpn, bool alpn_overrides) {
    tls::Options options;
    options.server_name = url.host();
    options.alpn = alpn;
    options.alpn_overrides = alpn_overrides;
    if (limit > Duration::zero()) {
        options.handshake_timeout = limit;
    }
    if (context == nullptr) {
        context = co_await to_thread(default_context);  // reading the system's roots takes a while
    }
    auto connecting = tls::connect(std::move(stream), *context, std::move(options));
    tls::TlsStream<io::TcpStream> secured = co_await std::move(connecting);
    co_return std::make_unique<TransportOf<tls::TlsStream<io::TcpStream>>>(std::move(secured));
}

}  // namespace knit::http::detail
