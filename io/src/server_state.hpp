/// ServerState: what the loops share of one server, of whatever kind. Everything but the lists of connections, which
/// are the loops', stands under one mutex, taken a few times for each connection and never for a byte.
///
///   [server.epoch]  end_connections: epoch_ + 1 release, then each loop's list  ->  Connection::begin: its loop's
///                   list, then epoch_ acquire: who is not in the list in time finds the epoch changed
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "connection.hpp"
#include "knit/future.hpp"
#include "knit/io/detail/address.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/io/server.hpp"
#include "knit/task.hpp"

namespace knit::detail {

/// What accept(2) gave.
struct Accepted {
    Fd fd;
    SocketAddress peer;  ///< empty for a Unix socket
};

/// What a server does with its connections; serve() and start_server() have one each. Called on every loop that
/// accepts, at the same time.
class Service {
public:
    virtual ~Service() = default;
    /// Goes on with a connection on the loop admission.loop(), which need not be the calling one. Not waited for. What
    /// it throws is reported, and the connection is closed.
    virtual void begin(Admission admission, Accepted accepted) = 0;
    /// There are no descriptors left, or no memory for sockets; at most once a second.
    virtual void out_of_resources(const std::system_error& error) = 0;
};

/// A socket that is bound, but does not listen yet.
struct BoundSocket {
    Fd fd;
    std::string name;                      ///< for messages and task names
    std::optional<io::Endpoint> endpoint;  ///< none for a Unix socket
};

class ServerState : public std::enable_shared_from_this<ServerState> {
public:
    /// It serves on `loops`, of which the first few accept.
    ServerState(std::vector<BoundSocket> sockets, std::unique_ptr<Service> service, const io::ServeOptions& options,
                std::vector<Loop*> loops);

    // Any thread.

    /// Listens, and starts the acceptors; nothing when it has done so. Throws std::system_error, or RuntimeError when
    /// it is closed.
    void start_serving();
    /// Stops listening, at once and for good.
    void close();
    /// Asks every connection to end; what is on its way to a loop does not begin.
    void end_connections(Connection::End how);
    bool is_serving() const;
    bool is_closing() const;
    std::size_t connection_count() const;
    std::vector<io::Endpoint> endpoints() const;
    const io::Endpoint& first_endpoint() const;
    /// "127.0.0.1:8080, [::1]:8080".
    const std::string& name() const noexcept { return name_; }
    /// Called by close(), once: for a Unix socket's file. Before start_serving().
    void set_at_close(std::function<void()> function) { at_close_ = std::move(function); }
    /// A future of the calling loop that is settled once the server is closing, or has nothing left to do.
    Future<> when_closing();
    /// serve_forever(): RuntimeError when there is one already.
    void begin_forever();
    void end_forever() noexcept;
    Future<> when_ended();

    // The acceptors'.

    void acceptor_begins();
    void acceptor_ends() noexcept;
    /// Lets a connection in, and says on which loop; nothing when there is no room, or the server is closing.
    std::optional<Admission> admit(Worker& here);
    /// A future that is settled when there may be room.
    Future<> when_room();
    /// Whether there is something to be said now: true at most once a second.
    bool may_report(TimePoint now);
    void count_accept(bool is_failure) noexcept;
    /// Calls of accept(2), and those that failed for want of descriptors or memory.
    std::size_t accepts_tried() const noexcept { return accepts_tried_.load(std::memory_order_relaxed); }    // relaxed:
    std::size_t accepts_failed() const noexcept { return accepts_failed_.load(std::memory_order_relaxed); }  // counts

    const io::ServeOptions options;
    const std::unique_ptr<Service> service;

private:
    friend class Admission;
    friend class Connection;

    bool has_ended() const noexcept { return is_closing_ && acceptor_count_ == 0 && connection_count_ == 0; }
    std::vector<Future<>> take_ended_waiters();
    void leave() noexcept;
    /// Of one of the loops that it serves on.
    LoopLoad& load_at(const Worker& loop) const noexcept;
    /// What an acceptor is made of.
    struct Listener {
        Fd fd;
        std::string name;
        Loop* loop;
    };
    std::vector<Listener> listen_on_all() const;
    void make_acceptors(std::vector<Listener> listeners, std::vector<Task<>>& tasks);

    const std::vector<Loop*> loops_;  ///< those of a runtime in their order, or one
    std::vector<std::shared_ptr<LoopLoad>> loads_;  ///< theirs
    std::string name_;
    std::vector<io::Endpoint> endpoints_;
    std::function<void()> at_close_;
    mutable std::mutex mutex_;
    std::vector<BoundSocket> sockets_;  ///< emptied by close()
    bool is_started_ = false;
    bool is_closing_ = false;
    bool is_forever_ = false;  ///< a serve_forever() runs
    std::size_t acceptor_count_ = 0;
    std::size_t connection_count_ = 0;
    TimePoint quiet_until_{};
    std::vector<Task<>> acceptors_;
    std::deque<Future<>> room_waiters_;
    std::vector<Future<>> closing_waiters_;
    std::vector<Future<>> ended_waiters_;
    Atomic<std::uint32_t> epoch_{0};         ///< any thread adds, beginning connections read [server.epoch]
    Atomic<std::size_t> accepts_tried_{0};   ///< acceptors add, tests read; publishes nothing
    Atomic<std::size_t> accepts_failed_{0};  ///< likewise
};

/// An accept loop counts as long as this lives, even if its task is cancelled before it starts.
class Acceptor {
public:
    explicit Acceptor(std::shared_ptr<ServerState> state) : state_(std::move(state)) { state_->acceptor_begins(); }
    Acceptor(Acceptor&&) noexcept = default;
    Acceptor& operator=(Acceptor&&) = delete;
    ~Acceptor() {
        if (state_ != nullptr) {
            state_->acceptor_ends();
        }
    }
    ServerState& state() const noexcept { return *state_; }

private:
    std::shared_ptr<ServerState> state_;
};

/// Accepts from `listener`, which listens, until the server is closed or the task is cancelled.
Coro<> run_acceptor(Acceptor acceptor, Fd listener);

/// serve()'s.
std::unique_ptr<Service> make_handler_service(ConnectionHandler handler);

/// Sockets bound to all addresses of `endpoint`, a name looked up on the blocking pool; at least one. Port 0 is the
/// same port for all. Throws std::system_error.
Coro<std::vector<BoundSocket>> bind_everywhere(io::Endpoint endpoint, io::ServeOptions options);

/// The same where the addresses are known; not none.
std::vector<BoundSocket> bind_all(const std::vector<SocketAddress>& addresses, const io::Endpoint& endpoint,
                                  const io::ServeOptions& options);

}  // namespace knit::detail
