// Accepting. All loops wait for one listening socket, and every new connection wakes all that wait: one of them gets
// it, a loop that computes meanwhile keeps nobody waiting.

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "descriptor_wait.hpp"
#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/io/socket.hpp"
#include "knit/loop.hpp"
#include "knit/sleep.hpp"
#include "poll_op.hpp"
#include "server_state.hpp"

namespace knit::detail {
namespace {

// Connections taken in a row before other tasks have their turn.
constexpr int kBatch = 64;
// Errors in a row that are the connections' own, before the listener is given a rest.
constexpr int kDeadMost = 64;
constexpr std::chrono::milliseconds kPauseMin{10};
constexpr std::chrono::milliseconds kPauseMax{100};

enum class Outcome {
    accepted,
    nothing,    ///< another loop was faster
    dead,       ///< the connection that was next has gone
    exhausted,  ///< no descriptors, or no memory: it stays in the queue
    ended,      ///< the listener has been shut down
};

Outcome outcome_of(int error) noexcept {
    switch (error) {
        case EAGAIN: return Outcome::nothing;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM: return Outcome::exhausted;
        case EINVAL:
        case EBADF: return Outcome::ended;
        default: return Outcome::dead;  // ECONNABORTED, EPERM of a firewall, the network's errors: accept(2) has a list
    }
}

Outcome accept_nowait(int listener, Accepted& accepted) noexcept {
    accepted.peer.reserve_all();
    accepted.fd = Fd(accept4(listener, accepted.peer.data(), accepted.peer.size_word(), SOCK_CLOEXEC));
    return accepted.fd ? Outcome::accepted : outcome_of(errno);
}

void report_begin(ServerState& state, std::exception_ptr error) {
    Loop& loop = get_running_loop();
    ExceptionContext context;
    context.message = "A connection to " + state.name() + " could not be begun";
    context.exception = std::move(error);
    context.loop = &loop;
    loop.call_exception_handler(context);
}

/// An accept loop: what it needs from one connection to the next.
class Accepting {
public:
    Accepting(ServerState& state, Fd listener) : state_(state), listener_(new SocketDescriptor(std::move(listener))) {}

    /// Until the server is closed, whatever fails meanwhile.
    Coro<> run() {
        while (!state_.is_closing()) {
            int failure = 0;
            try {
                Coro<> accepting = accept_all();
                co_await std::move(accepting);
            } catch (const std::system_error& error) {
                failure = error.code().value();
            } catch (const std::bad_alloc&) {
                failure = ENOMEM;
            }
            if (failure == 0) {
                co_return;
            }
            report_exhausted(failure);
            co_await sleep(kPauseMax);
        }
    }

private:
    Coro<> accept_all() {
        while (!state_.is_closing()) {
            Accepted accepted;
            const Outcome outcome = accept_nowait(listener_.get()->number(), accepted);
            const int error = errno;
            state_.count_accept(outcome == Outcome::exhausted);
            if (outcome == Outcome::accepted) {
                dead_ = 0;
                pause_ = {};
                free_.reset();
                Coro<> beginning = begin(std::move(accepted));
                co_await std::move(beginning);
                continue;
            }
            if (outcome == Outcome::ended) {
                co_return;
            }
            if (outcome == Outcome::exhausted) {
                Coro<> waiting = wait_for_descriptor(error);
                co_await std::move(waiting);
            } else if (outcome == Outcome::nothing) {
                batch_ = 0;
                co_await PollOp(listener_, POLLIN);  // a connection is there, or the listener is shut down
            } else if (++dead_ % kDeadMost == 0) {
                co_await sleep(kPauseMin);
            }
        }
    }

    /// Waits for room first, if need be. Accepted before, so that the loop with a connection is the one that waits.
    Coro<> begin(Accepted accepted) {
        for (;;) {
            std::optional<Admission> admission = state_.admit(get_running_loop().worker());
            if (admission) {
                pass_on(std::move(*admission), std::move(accepted));
                break;
            }
            if (state_.is_closing()) {
                co_return;
            }
            Future<> room = state_.when_room();
            co_await room;
        }
        if (++batch_ >= kBatch) {
            batch_ = 0;
            co_await yield();
        }
    }

    void pass_on(Admission admission, Accepted accepted) {
        try {
            state_.service->begin(std::move(admission), std::move(accepted));
        } catch (const BaseException&) {
            throw;  // meant for run()
        } catch (...) {
            report_begin(state_, std::current_exception());
        }
    }

    /// The connection stays in the queue, so that the next accept would fail at once too: without a pause this would be
    /// a loop at full speed. The first call tries again at once, knowing that no descriptor that is closed from now on
    /// can be missed.
    Coro<> wait_for_descriptor(int error) {
        if (!free_) {
            pause_ = std::clamp<Duration>(pause_ * 2, kPauseMin, kPauseMax);
            free_ = when_descriptor_may_be_free(pause_);
            co_return;
        }
        report_exhausted(error);
        co_await *free_;
        free_.reset();
    }

    void report_exhausted(int error) {
        if (!state_.may_report(get_running_loop().time())) {
            return;
        }
        try {
            const std::string operation = "accept " + state_.name();
            const std::system_error exhausted(error, std::generic_category(), operation);
            state_.service->out_of_resources(exhausted);
        } catch (const std::bad_alloc&) {
            return;  // nor is there memory to say so; it is tried again all the same
        }
    }

    ServerState& state_;
    DescriptorOwner listener_;
    Duration pause_{};
    std::optional<Future<>> free_;  ///< while there are no descriptors
    int dead_ = 0;
    int batch_ = 0;
};

}  // namespace

Coro<> run_acceptor(Acceptor begun, Fd listener) {
    const Acceptor acceptor = std::move(begun);
    try {
        Accepting accepting(acceptor.state(), std::move(listener));
        Coro<> body = accepting.run();
        co_await std::move(body);
    } catch (const CancelledError&) {
        if (!acceptor.state().is_closing()) {
            throw;
        }
    }
}

}  // namespace knit::detail
