/// SessionCore: what the requests of a session share: its pool of connections, limits and cookies.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cookies.hpp"
#include "knit/http/client.hpp"
#include "knit/semaphore.hpp"
#include "permit.hpp"
#include "shared_connection.hpp"
#include "transport.hpp"

namespace knit::http::detail {

class SessionCore : public std::enable_shared_from_this<SessionCore> {
public:
    explicit SessionCore(SessionOptions wanted);

    /// Waits until fewer requests than the limits say are under way. The host's first: who waits for a host that is
    /// busy does not keep others from theirs.
    Coro<Permit> admit();
    Coro<Permit> admit_to(std::string origin);

    /// A connection of this loop that is alive; null when there is none.
    std::unique_ptr<Transport> take_idle(const std::string& key, const Loop& loop);
    void put_idle(const std::string& key, const Loop& loop, std::unique_ptr<Transport> transport);
    std::size_t idle_count() const;

    /// What is known of the way from `loop` to a server.
    std::shared_ptr<Origin> origin(const std::string& key, const Loop& loop);
    /// Its connection of HTTP/2; null when there is none that takes requests. On its loop.
    std::shared_ptr<SharedConnection> shared(const Origin& origin) const;
    void set_shared(Origin& origin, std::shared_ptr<SharedConnection> connection);
    /// The connection has ended.
    void drop_shared(Origin& origin, const SharedConnection& connection);

    void close();
    bool is_closed() const;

    const SessionOptions options;
    CookieJar jar;

private:
    struct Idle {
        std::unique_ptr<Transport> transport;
        const Loop* loop;
        TimePoint until;
    };
    using OriginKey = std::pair<std::string, const Loop*>;
    void drop_old(TimePoint now, std::vector<Idle>& dropped);
    void watch(const Loop& loop);
    void drop_old_of(const Loop& loop);
    std::shared_ptr<SharedConnection> take_shared(Origin& origin);

    mutable std::mutex mutex_;
    std::multimap<std::string, Idle> idle_;  ///< with the mutex
    std::map<std::string, std::weak_ptr<Semaphore>> hosts_;  ///< likewise; kept by who waits and who has a permit
    std::map<OriginKey, std::shared_ptr<Origin>> origins_;   ///< likewise
    std::set<const Loop*> watched_;  ///< likewise: loops with a timer for their idle connections
    bool is_closed_ = false;         ///< likewise
    std::shared_ptr<Semaphore> limit_;
};

}  // namespace knit::http::detail
