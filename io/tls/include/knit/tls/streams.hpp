/// open_connection() with TLS: asyncio's `ssl=` argument.
#pragma once

#include <concepts>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/streams.hpp"
#include "knit/tls/connect.hpp"
#include "knit/tls/context.hpp"

namespace knit::tls {

/// Connects as tls::connect() does, and gives a reader and a writer. The writer has no write_eof(), as in asyncio;
/// close() says close-notify, abort() does not. Cancelled: CancelledError, and no connection is left.
Coro<io::Connection> open_connection(io::Endpoint endpoint, Context context, io::StreamOptions stream_options = {},
                                     Options options = {});
/// The same, with host and port apart, as asyncio has them.
template <std::integral Port>
Coro<io::Connection> open_connection(std::string_view host, Port port, Context context,
                                     io::StreamOptions stream_options = {}, Options options = {}) {
    return open_connection(io::Endpoint(host, static_cast<long>(port)), std::move(context), stream_options, options);
}

}  // namespace knit::tls

namespace knit {
using tls::open_connection;
}  // namespace knit
