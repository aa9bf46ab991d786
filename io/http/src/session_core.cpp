#include "session_core.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "knit/error.hpp"
#include "knit/loop.hpp"

namespace knit::http::detail {
namespace {

constexpr std::size_t kIdleMost = 1000;

/// A server that has closed a connection, or says something unasked, has made it readable.
bool is_alive(const Transport& transport) noexcept {
    pollfd entry{};
    entry.fd = transport.native_handle();
    entry.events = POLLIN | POLLRDHUP;
    return entry.fd >= 0 && transport.available() == 0 && poll(&entry, 1, 0) == 0;  // -1 has nothing to say for ever
}

Coro<Permit> acquire(std::shared_ptr<Semaphore> semaphore) {
    co_await semaphore->acquire();
    co_return Permit(std::move(semaphore));
}

/// From any thread, once the loop may be gone: then the connection is as well.
void end_on_its_loop(const std::shared_ptr<SharedConnection>& connection) {
    try {
        auto end = [connection] { connection->end_soon(); };
        connection->loop().call_soon_threadsafe(std::move(end));
    } catch (const RuntimeError&) {
        return;
    } catch (const std::bad_alloc&) {
        return;  // it ends when nobody has used it for its keepalive
    }
}

Coro<Permit> acquire_nothing() { co_return Permit(); }

}  // namespace

SessionCore::SessionCore(SessionOptions wanted) : options(std::move(wanted)) {
    if (options.limit != 0) {
        limit_ = std::make_shared<Semaphore>(options.limit);
    }
}

Coro<Permit> SessionCore::admit() { return limit_ == nullptr ? acquire_nothing() : acquire(limit_); }

Coro<Permit> SessionCore::admit_to(std::string origin) {
    if (options.limit_per_host == 0) {
        return acquire_nothing();
    }
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Semaphore> semaphore = hosts_[origin].lock();
    if (semaphore == nullptr) {
        std::erase_if(hosts_, [](const auto& host) { return host.second.expired(); });
        semaphore = std::make_shared<Semaphore>(options.limit_per_host);
        hosts_[origin] = semaphore;
    }
    return acquire(semaphore);
}

std::unique_ptr<Transport> SessionCore::take_idle(const std::string& key, const Loop& loop) {
    std::vector<Idle> dropped;  // closed outside of the lock
    const std::lock_guard lock(mutex_);
    drop_old(std::chrono::steady_clock::now(), dropped);
    const auto [first, last] = idle_.equal_range(key);
    for (auto found = last; found != first;) {
        auto next = std::prev(found);
        found = next;
        if (next->second.loop != &loop) {
            continue;
        }
        Idle idle = std::move(next->second);
        found = idle_.erase(next);
        if (is_alive(*idle.transport)) {
            return std::move(idle.transport);
        }
        dropped.push_back(std::move(idle));
        return nullptr;  // its siblings are as old: a fresh one is sure
    }
    return nullptr;
}

void SessionCore::put_idle(const std::string& key, const Loop& loop, std::unique_ptr<Transport> transport) {
    std::vector<Idle> dropped;
    const std::lock_guard lock(mutex_);
    const TimePoint now = std::chrono::steady_clock::now();
    drop_old(now, dropped);
    if (is_closed_ || options.keepalive <= Duration::zero() || idle_.size() >= kIdleMost) {
        dropped.push_back({std::move(transport), &loop, now});
        return;
    }
    if (&loop == &get_running_loop()) {
        watch(loop);
    }
    idle_.emplace(key, Idle{std::move(transport), &loop, knit::detail::after(now, options.keepalive)});
}

/// Connections that nobody asks for again are closed in their time, by their loop: one timer for all of it.
void SessionCore::watch(const Loop& loop) {
    if (!watched_.insert(&loop).second) {
        return;
    }
    try {
        get_running_loop().call_later(options.keepalive, [session = weak_from_this(), &loop] {
            if (const std::shared_ptr<SessionCore> core = session.lock()) {
                core->drop_old_of(loop);
            }
        });
    } catch (...) {
        watched_.erase(&loop);
        throw;
    }
}

void SessionCore::drop_old_of(const Loop& loop) {
    std::vector<Idle> dropped;
    const std::lock_guard lock(mutex_);
    const TimePoint now = std::chrono::steady_clock::now();
    bool has_more = false;
    watched_.erase(&loop);
    for (auto entry = idle_.begin(); entry != idle_.end();) {
        const bool is_ours = entry->second.loop == &loop;
        if (is_ours && entry->second.until <= now) {
            dropped.push_back(std::move(entry->second));
            entry = idle_.erase(entry);
        } else {
            has_more = has_more || is_ours;
            ++entry;
        }
    }
    if (has_more) {
        try {
            watch(loop);
        } catch (const std::bad_alloc&) {
            return;  // the next connection that is put here tries again
        }
    }
}

void SessionCore::drop_old(TimePoint now, std::vector<Idle>& dropped) {
    for (auto entry = idle_.begin(); entry != idle_.end();) {
        if (entry->second.until > now) {
            ++entry;
        } else {
            dropped.push_back(std::move(entry->second));
            entry = idle_.erase(entry);
        }
    }
}

std::size_t SessionCore::idle_count() const {
    const std::lock_guard lock(mutex_);
    return idle_.size();
}

bool SessionCore::is_closed() const {
    const std::lock_guard lock(mutex_);
    return is_closed_;
}

void SessionCore::close() {
    std::multimap<std::string, Idle> closed;
    std::map<OriginKey, std::shared_ptr<Origin>> ending;
    {
        const std::lock_guard lock(mutex_);
        is_closed_ = true;
        closed.swap(idle_);
        ending.swap(origins_);
    }
    for (const auto& [key, origin] : ending) {
        if (const std::shared_ptr<SharedConnection> connection = take_shared(*origin)) {
            end_on_its_loop(connection);
        }
    }
}

std::shared_ptr<SharedConnection> SessionCore::take_shared(Origin& origin) {
    const std::lock_guard lock(mutex_);
    return std::exchange(origin.connection, nullptr);
}

// Connections that are shared.

std::shared_ptr<Origin> SessionCore::origin(const std::string& key, const Loop& loop) {
    const std::lock_guard lock(mutex_);
    if (origins_.size() >= kIdleMost) {
        std::erase_if(origins_, [](const auto& entry) {
            return entry.second.use_count() == 1 && entry.second->connection == nullptr;
        });
    }
    std::shared_ptr<Origin>& found = origins_[OriginKey(key, &loop)];
    if (found == nullptr) {
        found = std::make_shared<Origin>();
    }
    return found;
}

std::shared_ptr<SharedConnection> SessionCore::shared(const Origin& origin) const {
    const std::lock_guard lock(mutex_);
    const bool is_good = origin.connection != nullptr && origin.connection->can_open();
    return is_good ? origin.connection : nullptr;
}

void SessionCore::set_shared(Origin& origin, std::shared_ptr<SharedConnection> connection) {
    bool is_kept = false;
    {
        const std::lock_guard lock(mutex_);
        is_kept = !is_closed_;
        if (is_kept) {
            std::swap(origin.connection, connection);
        }
    }
    if (!is_kept) {
        connection->end_with_requests();
    } else if (connection != nullptr) {
        connection->end_with_requests();  // the one before; requests that its server has not let in yet count
    }
}

void SessionCore::drop_shared(Origin& origin, const SharedConnection& connection) {
    std::shared_ptr<SharedConnection> dropped;
    const std::lock_guard lock(mutex_);
    if (origin.connection.get() == &connection) {
        dropped.swap(origin.connection);
    }
}

}  // namespace knit::http::detail
