/// EpollRequest: what an operation has asked for, while EpollDriver works on it. Of its own, and not in Op, because a
/// ring needs none of it.
///
///   state     entered by                            left by
///   free      the pool                              begin
///   queued    begin                                 the next poll: tried
///   waiting   a try that would have to wait         an edge, after which a try ends it; end: ended
///   delayed   as waiting, where no edge will come   the next poll or park; end: ended
///   pooled    what blocks                           its message from the drivers' pool
///   ended     end, of one that waits                the next poll
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "knit/detail/base.hpp"
#include "knit/detail/work.hpp"
#include "ring.hpp"

namespace knit::detail {

class EpollDriver;
class Op;

/// What has to happen before a request can go on.
enum class Want : std::uint8_t {
    input,   ///< bytes, a connection, the end
    output,  ///< room, the end of a connect
    any,     ///< whatever a poll asks for: not served in turn with the others
};

struct EpollRequest : Work {
    enum class State : std::uint8_t { free, queued, waiting, delayed, pooled, ended };

    Op* op = nullptr;
    EpollDriver* driver = nullptr;
    EpollRequest* later = nullptr;  ///< in the list where it stands
    EpollRequest* earlier = nullptr;
    int number = -1;  ///< the descriptor that it waits for
    int result = 0;   ///< the drivers' pool's
    State state = State::free;
    Want want = Want::input;
    bool is_connecting = false;
    bool is_cancelled = false;  ///< queued: it is still tried, but does not wait; pooled: stands in the driver's opens_
    Atomic<bool> is_unwanted{false};   ///< the loop sets it, the drivers' pool looks before it begins; a hint
    /// A request as a ring takes it; in bytes, because it ends in an array of no size, which GCC wants to stand last.
    alignas(io_uring_sqe) std::byte sqe_bytes[sizeof(io_uring_sqe)] = {};

    io_uring_sqe& sqe() noexcept { return *std::launder(reinterpret_cast<io_uring_sqe*>(sqe_bytes)); }
    const io_uring_sqe& sqe() const noexcept { return *std::launder(reinterpret_cast<const io_uring_sqe*>(sqe_bytes)); }
};

/// First in, first out, with removal from the middle.
class EpollRequestList {
public:
    EpollRequest* first() const noexcept { return first_; }
    bool empty() const noexcept { return first_ == nullptr; }
    void push(EpollRequest& request) noexcept {
        request.later = nullptr;
        request.earlier = last_;
        (last_ != nullptr ? last_->later : first_) = &request;
        last_ = &request;
    }
    void remove(EpollRequest& request) noexcept {
        (request.earlier != nullptr ? request.earlier->later : first_) = request.later;
        (request.later != nullptr ? request.later->earlier : last_) = request.earlier;
        request.later = request.earlier = nullptr;
    }
    EpollRequest* pop() noexcept {
        EpollRequest* const request = first_;
        if (request != nullptr) {
            remove(*request);
        }
        return request;
    }
    EpollRequestList take_all() noexcept { return std::exchange(*this, {}); }

private:
    EpollRequest* first_ = nullptr;
    EpollRequest* last_ = nullptr;
};

/// Made by the block and used again: a loop whose number of operations does not grow allocates nothing.
class EpollRequestPool {
public:
    /// Null when there is no memory.
    EpollRequest* take() noexcept {
        if (free_.empty() && !grow()) {
            return nullptr;
        }
        return free_.pop();
    }
    void give(EpollRequest& request) noexcept {
        request.state = EpollRequest::State::free;
        free_.push(request);
    }

private:
    static constexpr std::size_t kBlock = 64;
    bool grow() noexcept;

    EpollRequestList free_;
    std::vector<std::unique_ptr<EpollRequest[]>> blocks_;
};

}  // namespace knit::detail
