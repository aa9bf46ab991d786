/// SharedConnection: a client's connection that many requests share at one time, which is HTTP/2's.
#pragma once

#include <functional>
#include <memory>

#include "client_exchange.hpp"
#include "knit/event.hpp"
#include "knit/http/client.hpp"
#include "knit/loop.hpp"
#include "knit/time.hpp"
#include "transport.hpp"

namespace knit::http::detail {

/// All but loop() on its loop.
class SharedConnection {
public:
    virtual ~SharedConnection() = default;
    virtual Loop& loop() const noexcept = 0;
    /// Whether it takes one more request.
    virtual bool can_open() const noexcept = 0;
    virtual std::unique_ptr<ClientExchange> open(const ClientTimeout& timeout) = 0;
    /// Ends when its requests have.
    virtual void end_soon() noexcept = 0;
    /// The same, once it has had one: for a session that has been closed meanwhile.
    virtual void end_with_requests() noexcept = 0;
};

/// What a session knows of a server, as seen from one loop.
struct Origin {
    std::shared_ptr<SharedConnection> connection;  ///< with the session's mutex

    // On the loop.

    Event opened;             ///< set when is_opening ends
    bool is_opening = false;  ///< a request opens a connection, which the others wait for
    bool is_http1 = false;    ///< the server has not chosen HTTP/2
};

/// HTTP/2 on a transport, kept for `keepalive` without requests; `ended` is called at its end. RuntimeError where this
/// knit has no HTTP/2.
std::shared_ptr<SharedConnection> share(std::unique_ptr<Transport> transport, Duration keepalive,
                                        std::function<void(const SharedConnection&)> ended);

}  // namespace knit::http::detail
