/// TlsSessionCache: what a client may resume, by the peer's name. Any thread.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include <openssl/ssl.h>

#include "knit/detail/mutex.hpp"

namespace knit::detail {

struct FreeSession {
    void operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }
};
using SessionRef = std::unique_ptr<SSL_SESSION, FreeSession>;

class TlsSessionCache {
public:
    static constexpr std::size_t kPeersMax = 256;
    static constexpr std::size_t kForEach = 4;

    void keep(const std::string& peer, SessionRef session);
    /// The newest, or none. One of TLS 1.3 is for one use, so that connections cannot be told to be of one client.
    SessionRef take(const std::string& peer);

private:
    using Sessions = std::deque<SessionRef>;

    Mutex mutex_;
    std::unordered_map<std::string, Sessions> peers_;  ///< with the mutex; none is empty
    std::deque<std::string> order_;                    ///< of peers_, the one that came first in front
};

}  // namespace knit::detail
