/// EpollDriver: a loop waits with epoll, where io_uring is denied. The operations are the same, it reads the requests
/// that they prepare for a ring.
///
/// submit() only queues; poll() and park() try what is queued, in order. What cannot be done at once waits for an edge
/// of its descriptor (EpollSet), in the order of asking for each direction, or goes to the drivers' pool and comes back
/// by message. What is different from a ring:
///   - a loop that is never without work looks at the descriptors every KNIT_BUDGET tasks, and not as soon as something
///     happens: there is no memory to glance at;
///   - a multishot request completes once, without IORING_CQE_F_MORE;
///   - a zero-copy send is a plain one;
///   - listeners and sockets that connect are made non-blocking, so runtimes with a ring should not share them;
///   - what is on the drivers' pool is not cancelled once it has begun: it completes. An open of a named pipe
///     is released by an open of the other end, if this process may do that.
#pragma once

#include <string>

#include "epoll_ops.hpp"
#include "epoll_request.hpp"
#include "epoll_set.hpp"
#include "io_driver.hpp"

namespace knit::detail {

class EpollDriver final : public IoDriver {
public:
    /// Owner thread. `worker`: the loop whose drivers' pool is used; null: what blocks runs on the spot. `reason`: why
    /// it is not a ring. Throws std::system_error.
    EpollDriver(Worker* worker, std::string reason);
    ~EpollDriver() override;

    void poll() noexcept override;
    void park(TimePoint deadline) noexcept override;
    void close() noexcept override;
    DriverReport report() const override;

    // submit() and cancel(), for epoll.
    void begin(Op& op) noexcept;
    void end(Op& op) noexcept;

    /// For tests.
    const EpollSet& set() const noexcept { return set_; }

private:
    static EpollRequest& request_of(Op& op) noexcept { return static_cast<EpollRequest&>(*slot(op)); }
    bool run_queue() noexcept;
    void collect(Duration timeout) noexcept;
    void serve(EpollRequestList& waiters, Want want, int number) noexcept;
    void handle(EpollRequest& request) noexcept;
    void settle(EpollRequest& request, const Attempt& attempt) noexcept;
    int prepare_accept(const EpollRequest& request) noexcept;
    void wait_for(EpollRequest& request, const Attempt& attempt) noexcept;
    void run_elsewhere(EpollRequest& request) noexcept;
    void finish(EpollRequest& request, int result, std::uint32_t flags = 0) noexcept;
    static void come_back(Worker& worker, Work& work) noexcept;

    Worker* const worker_;
    const std::string reason_;
    EpollSet set_;
    EpollRequestPool pool_;
    EpollRequestList queue_;
    EpollRequestList delayed_;
    EpollRequestList opens_;  ///< pooled, of named pipes, and cancelled
};

}  // namespace knit::detail
