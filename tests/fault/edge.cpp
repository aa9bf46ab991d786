#include "edge_state.hpp"

#include <liburing.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

extern "C" {
int __real_io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* parameters);
int __real_io_uring_register_ring_fd(io_uring* ring);
int __real_io_uring_register_buf_ring(io_uring* ring, io_uring_buf_reg* registration, unsigned flags);
void __real_io_uring_queue_exit(io_uring* ring);
int __real_io_uring_enter2(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags, sigset_t* set,
                           std::size_t size);
}

namespace knit::fault {
namespace {

// The driver's own requests have one of these bits in their user data.
constexpr std::uint64_t kTokens = 3;
constexpr std::uint64_t kDoorbell = 1;
constexpr std::uint64_t kUnwanted = 3;
constexpr unsigned kHeldEnters = 4;

std::span<const int> errors_of(int opcode) {
    switch (opcode) {
        case IORING_OP_READ:
        case IORING_OP_RECV:
        case IORING_OP_RECVMSG: return kReadErrors;
        case IORING_OP_WRITE:
        case IORING_OP_SEND:
        case IORING_OP_SEND_ZC:
        case IORING_OP_SENDMSG: return kWriteErrors;
        case IORING_OP_ACCEPT: return kAcceptErrors;
        case IORING_OP_CONNECT: return kConnectErrors;
        case IORING_OP_OPENAT: return kOpenErrors;
        case IORING_OP_FSYNC: return kSyncErrors;
        default: return {};
    }
}

std::span<const int> passing_errors_of(int opcode) {
    switch (opcode) {
        case IORING_OP_ACCEPT: return kPassingAccept;
        case IORING_OP_SEND_ZC: return kPassingZeroCopy;
        case IORING_OP_CONNECT:
        case IORING_OP_CLOSE: return {};  // not tried again, by anybody
        default: return kPassing;
    }
}

bool is_transfer(const io_uring_sqe& sqe) {
    return sqe.opcode == IORING_OP_READ || sqe.opcode == IORING_OP_WRITE || sqe.opcode == IORING_OP_RECV ||
           sqe.opcode == IORING_OP_SEND || sqe.opcode == IORING_OP_SEND_ZC;
}

/// Makes of a request whose first completion would have F_MORE one that has a single completion. False: it is none.
bool end_early(io_uring_sqe& sqe) {
    const auto drop = [&sqe](unsigned flag) {
        const bool had = (sqe.ioprio & flag) != 0;
        sqe.ioprio = static_cast<std::uint16_t>(sqe.ioprio & ~flag);
        return had;
    };
    switch (sqe.opcode) {
        case IORING_OP_ACCEPT: return drop(IORING_ACCEPT_MULTISHOT);
        case IORING_OP_RECV: return drop(IORING_RECV_MULTISHOT);
        case IORING_OP_POLL_ADD: return (std::exchange(sqe.len, 0) & IORING_POLL_ADD_MULTI) != 0;
        case IORING_OP_SEND_ZC: sqe.opcode = IORING_OP_SEND; return true;  // the other completion frees the buffer
        default: return false;
    }
}

}  // namespace

/// One ring.
struct Edge {
    struct Held {
        unsigned enters;
        std::array<std::byte, sizeof(io_uring_sqe)> request;  // the struct ends with an array of no size
    };
    struct Range {
        std::uintptr_t first;
        std::uintptr_t last;
    };

    Edge(io_uring& whose, const Plan& what, std::uint64_t number)
        : ring(whose),
          plan(what),
          random(what.seed * 1000003 + number),
          seen(*whose.cq.ktail),
          looked(*whose.sq.khead) {}

    bool happens(unsigned per_mille) { return plan.seed != 0 && per_mille != 0 && random() % 1000 < per_mille; }
    bool is_busy(bool has_requests, bool is_wait);
    void look_at_requests(unsigned count);
    void look_at_completions();
    void change(io_uring_sqe& sqe);
    void fail(io_uring_sqe& sqe, std::span<const int> errors);
    void change_bell(io_uring_sqe& sqe);
    void hold(io_uring_sqe& sqe);
    void release_held(bool all);
    void note_owner(const io_uring_sqe& sqe);

    io_uring& ring;
    const Plan plan;
    std::mt19937_64 random;
    unsigned seen;    ///< completions up to here have been looked at
    unsigned looked;  ///< requests up to here
    std::vector<Held> held;
    std::set<unsigned> released;  ///< where requests stand that were held back, and are not to be changed again
    std::map<std::uint64_t, int> results;   ///< what a request that became a no-op completes with
    std::map<std::uint64_t, Range> owned;   ///< by requests in the kernel
    std::set<std::uint64_t> missed;         ///< requests that a cancel has been too early or too late for
    std::optional<std::chrono::steady_clock::time_point> busy_until;
    int bell = -1;                          ///< the doorbell's descriptor, once a read of it was seen
    Counts counts;
    std::set<int> errors;
};

namespace {

thread_local Edge* t_edge = nullptr;

void turn_into_nothing(io_uring_sqe& sqe, std::uint64_t data) {
    sqe = {};
    sqe.opcode = IORING_OP_NOP;
    sqe.fd = -1;
    sqe.user_data = data;
}

}  // namespace

/// Who neither submits nor waits needs no memory.
bool Edge::is_busy(bool has_requests, bool is_wait) {
    if (plan.has_one_request && has_requests) {
        look_at_completions();
        return !owned.empty();
    }
    if (plan.busy_ms == 0 || (!has_requests && !is_wait) || (plan.is_busy_for_waits && !is_wait)) {
        return false;
    }
    const auto now = std::chrono::steady_clock::now();
    if (!busy_until) {
        busy_until = now + std::chrono::milliseconds(plan.busy_ms);
    }
    counts.busy_enters += now < *busy_until ? 1 : 0;
    return now < *busy_until;
}

void Edge::fail(io_uring_sqe& sqe, std::span<const int> list) {
    const int error = list[random() % list.size()];
    results[sqe.user_data] = -error;
    errors.insert(error);
    ++counts.errors;
    turn_into_nothing(sqe, sqe.user_data);
}

void Edge::change(io_uring_sqe& sqe) {
    constexpr unsigned kLinks = IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN;
    if (sqe.user_data == kDoorbell) {
        change_bell(sqe);
        return;
    }
    if (sqe.opcode == IORING_OP_ASYNC_CANCEL && plan.misses_cancels && missed.insert(sqe.addr).second) {
        results[sqe.user_data] = -ENOENT;
        ++counts.errors;
        turn_into_nothing(sqe, sqe.user_data);
        return;
    }
    if ((sqe.user_data & kTokens) != 0 || (sqe.flags & kLinks) != 0) {
        return;
    }
    if (const std::span<const int> list = errors_of(sqe.opcode); !list.empty() && happens(plan.errors)) {
        fail(sqe, list);
        return;
    }
    if (const std::span<const int> list = passing_errors_of(sqe.opcode); !list.empty() && happens(plan.passing)) {
        fail(sqe, list);
        return;
    }
    if (sqe.opcode == IORING_OP_WRITE && happens(plan.emptied)) {
        ++counts.errors;
        turn_into_nothing(sqe, sqe.user_data);  // which completes with 0
        return;
    }
    if (plan.ended != 0 && happens(plan.ended) && end_early(sqe)) {
        ++counts.ended;
    } else if (is_transfer(sqe) && sqe.len > 1 && happens(plan.shortened)) {
        sqe.len = 1 + static_cast<unsigned>(random() % (sqe.len - 1));
        ++counts.shortened;
    }
    if (happens(plan.held)) {
        hold(sqe);
        return;
    }
    note_owner(sqe);
}

/// Of the read that hears the doorbell.
void Edge::change_bell(io_uring_sqe& sqe) {
    bell = sqe.fd;
    if (happens(plan.bells_failed)) {
        results[sqe.user_data] = -kBellErrors[random() % kBellErrors.size()];
        turn_into_nothing(sqe, sqe.user_data);
        ++counts.bells_failed;
    } else if (happens(plan.held)) {
        hold(sqe);
    }
}

void Edge::hold(io_uring_sqe& sqe) {
    Held later{1 + static_cast<unsigned>(random() % kHeldEnters), {}};
    std::memcpy(later.request.data(), &sqe, sizeof sqe);
    held.push_back(later);
    turn_into_nothing(sqe, kUnwanted);
    ++counts.held;
}

void Edge::note_owner(const io_uring_sqe& sqe) {
    if (is_transfer(sqe) && (sqe.user_data & kTokens) == 0 && (sqe.flags & IOSQE_BUFFER_SELECT) == 0 && sqe.len > 0) {
        owned[sqe.user_data] = {sqe.addr, sqe.addr + sqe.len};
    }
}

void Edge::look_at_requests(unsigned count) {
    const unsigned first = *ring.sq.khead;
    const unsigned end = first + count;
    if (static_cast<int>(first - looked) > 0) {
        looked = first;  // liburing has entered by itself
    }
    for (; static_cast<int>(end - looked) > 0; ++looked) {
        if (released.erase(looked) == 0) {
            change(ring.sq.sqes[looked & ring.sq.ring_mask]);
        }
    }
}

/// Requests that were held back go to the end of the queue: all, or those whose time has come, as far as there is room.
void Edge::release_held(bool all) {
    for (auto each = held.begin(); each != held.end();) {
        const unsigned tail = *ring.sq.ktail;
        each->enters -= each->enters > 1 ? 1U : 0U;
        if ((!all && each->enters > 1) || tail - *ring.sq.khead >= ring.sq.ring_entries) {
            ++each;
            continue;
        }
        io_uring_sqe& slot = ring.sq.sqes[tail & ring.sq.ring_mask];
        std::memcpy(&slot, each->request.data(), sizeof slot);
        note_owner(slot);
        released.insert(tail);
        ring.sq.sqe_tail = ring.sq.sqe_head = tail + 1;
        __atomic_store_n(ring.sq.ktail, tail + 1, __ATOMIC_RELEASE);
        each = held.erase(each);
    }
}

void Edge::look_at_completions() {
    const unsigned tail = __atomic_load_n(ring.cq.ktail, __ATOMIC_ACQUIRE);
    io_uring_cqe* previous = nullptr;
    for (; seen != tail; ++seen) {
        io_uring_cqe& cqe = ring.cq.cqes[seen & ring.cq.ring_mask];
        if (static_cast<int>(seen - *ring.cq.khead) < 0) {
            owned.erase(cqe.user_data);  // collected before anybody could look
            continue;
        }
        if (const auto found = results.find(cqe.user_data); found != results.end()) {
            cqe.res = found->second;
            results.erase(found);
        }
        if (plan.interrupts_cancelled && cqe.res == -ECANCELED && (cqe.user_data & kTokens) == 0) {
            cqe.res = -EINTR;
            ++counts.errors;
        }
        const bool is_last = (cqe.flags & IORING_CQE_F_MORE) == 0;
        if (is_last) {
            owned.erase(cqe.user_data);
        }
        const bool may_swap = is_last && (cqe.user_data & kTokens) == 0;
        if (previous != nullptr && may_swap && previous->user_data != cqe.user_data && happens(plan.swapped)) {
            std::swap(*previous, cqe);
            ++counts.swapped;
        }
        previous = may_swap ? &cqe : nullptr;
    }
}

bool is_ring_here() { return t_edge != nullptr; }

bool is_owned_by_kernel(const void* bytes, std::size_t size) {
    if (t_edge == nullptr) {
        return false;
    }
    t_edge->look_at_completions();
    const auto first = reinterpret_cast<std::uintptr_t>(bytes);
    return std::ranges::any_of(t_edge->owned, [&](const auto& each) {
        return each.second.first < first + size && first < each.second.last;
    });
}

}  // namespace knit::fault

using knit::fault::Edge;
using knit::fault::shared;
using knit::fault::t_edge;

extern "C" int __wrap_io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* parameters) {
    const std::lock_guard lock(shared().mutex);
    const knit::fault::Plan& plan = shared().plan;
    if ((parameters->flags & plan.denied_flags) != 0) {
        ++shared().counts.denied;
        return -EINVAL;
    }
    entries = plan.sq_entries != 0 ? plan.sq_entries : entries;
    parameters->cq_entries = plan.cq_entries != 0 ? plan.cq_entries : parameters->cq_entries;
    const int result = __real_io_uring_queue_init_params(entries, ring, parameters);
    if (result == 0) {
        t_edge = new Edge(*ring, plan, ++shared().rings);
        shared().edges[ring] = t_edge;
    }
    return result;
}

extern "C" int __wrap_io_uring_register_ring_fd(io_uring* ring) {
    return shared().plan.denies_registered ? -EINVAL : __real_io_uring_register_ring_fd(ring);
}

extern "C" int __wrap_io_uring_register_buf_ring(io_uring* ring, io_uring_buf_reg* registration, unsigned flags) {
    return shared().plan.denies_buffers ? -EINVAL : __real_io_uring_register_buf_ring(ring, registration, flags);
}

extern "C" void __wrap_io_uring_queue_exit(io_uring* ring) {
    {
        const std::lock_guard lock(shared().mutex);
        if (const auto found = shared().edges.find(ring); found != shared().edges.end()) {
            shared().counts += found->second->counts;
            shared().bells.erase(found->second->bell);
            shared().errors.merge(found->second->errors);
            t_edge = t_edge == found->second ? nullptr : t_edge;
            delete found->second;
            shared().edges.erase(found);
        }
    }
    __real_io_uring_queue_exit(ring);
}

extern "C" int __wrap_io_uring_enter2(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                                      sigset_t* set, std::size_t size) {
    Edge* const edge = t_edge;
    if (edge == nullptr) {
        return __real_io_uring_enter2(fd, to_submit, min_complete, flags, set, size);
    }
    if (edge->is_busy(to_submit != 0, min_complete != 0)) {
        return -EAGAIN;
    }
    if (edge->happens(edge->plan.enters)) {
        ++edge->counts.enters;
        constexpr int kErrors[] = {EINTR, EAGAIN, EBUSY};
        return -kErrors[edge->random() % 3];
    }
    if (min_complete != 0 && edge->happens(edge->plan.bells_doubled)) {
        knit::fault::ring_without_reason(edge->bell);
    }
    // Where requests have been refused just before, the rest waits for another call.
    if (to_submit != 0 || *edge->ring.sq.ktail == *edge->ring.sq.khead) {
        edge->release_held(min_complete != 0);
        to_submit = *edge->ring.sq.ktail - *edge->ring.sq.khead;
    }
    if (to_submit > 1 && edge->happens(edge->plan.short_enters)) {
        to_submit = 1 + static_cast<unsigned>(edge->random() % (to_submit - 1));
        min_complete = 0;
        ++edge->counts.short_enters;
    }
    edge->look_at_requests(to_submit);
    min_complete = edge->held.empty() ? min_complete : 0;  // nobody waits for what is held back
    const int result = __real_io_uring_enter2(fd, to_submit, min_complete, flags, set, size);
    edge->look_at_completions();
    edge->counts.overflows += (__atomic_load_n(edge->ring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW) != 0;
    return result;
}
