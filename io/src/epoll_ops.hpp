/// What the operations of io_uring come to without it: tried at once where that cannot block, and where it can, on the
/// drivers' pool.
#pragma once

#include <cerrno>

#include "buffer_pool.hpp"
#include "epoll_request.hpp"
#include "knit/io/detail/descriptor.hpp"

namespace knit::detail {

/// What came of a try.
struct Attempt {
    enum class Outcome : std::uint8_t {
        done,   ///< `result` is what a completion would say
        wait,   ///< for an edge of `number`
        later,  ///< it cannot be done now, and no edge will tell when
        block,  ///< it blocks: for run_blocking()
    };
    Outcome outcome = Outcome::done;
    int result = 0;
    int number = -1;
    Want want = Want::input;
    std::uint32_t flags = 0;  ///< of a completion

    static Attempt done(int result) noexcept { return {Outcome::done, result, -1, Want::input, 0}; }
    static Attempt block() noexcept { return {Outcome::block, 0, -1, Want::input, 0}; }
    static Attempt later() noexcept { return {Outcome::later, 0, -1, Want::input, 0}; }
    static Attempt wait(int number, Want want) noexcept { return {Outcome::wait, 0, number, want, 0}; }
};

/// Tries `request`, whose descriptor may be null; never blocks. `buffers`: the loop's, null when there are none.
Attempt attempt(EpollRequest& request, const Descriptor* descriptor, BufferPool* buffers) noexcept;

/// Does what attempt() said would block. Any thread. What a completion would say.
int run_blocking(const io_uring_sqe& sqe) noexcept;

/// Lets an open of a named pipe return that waits in run_blocking() for the other end, by opening that. It may be too
/// early, so again until it has returned. False: it is no such open.
bool release_open(const io_uring_sqe& sqe) noexcept;

/// The epoll events that a request which waits is to hear of.
std::uint32_t events_for(const EpollRequest& request, Want want) noexcept;

/// 0, or minus the errno.
int set_nonblocking(int number) noexcept;

/// An address as it stands in a request.
template <class T>
T* pointer(std::uint64_t address) noexcept {
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(address));
}

/// What the last call gave, as a completion says it.
inline int result_of(long result, int error) noexcept { return result >= 0 ? static_cast<int>(result) : -error; }
/// The same of a call that stands as the argument: errno is looked at after it, while GCC evaluates the second of two
/// arguments first.
inline int result_of(long result) noexcept { return result_of(result, errno); }

/// write(2) and its relatives, on a pipe or a socket, without the SIGPIPE that they send to the thread.
class NoSigpipe {
public:
    NoSigpipe() noexcept;
    ~NoSigpipe();
    NoSigpipe(const NoSigpipe&) = delete;
    NoSigpipe& operator=(const NoSigpipe&) = delete;
    /// Gives `result_of` of a call in between.
    int take(long result) noexcept;

private:
    bool was_blocked_ = false;
    bool was_pending_ = false;
};

}  // namespace knit::detail
