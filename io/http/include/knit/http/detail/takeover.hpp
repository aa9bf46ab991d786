/// Takeover: what becomes of a server's connection that turns to HTTP/2.
#pragma once

namespace knit::http::detail {

/// HTTP/2, which has taken a connection over.
class Takeover {
public:
    virtual ~Takeover() = default;
    /// Takes no new requests, and ends with those that run.
    virtual void end_soon() noexcept = 0;
};

/// Whether this knit was built with HTTP/2.
bool has_http2() noexcept;

}  // namespace knit::http::detail
