#include "ring.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>

#include "die.hpp"

namespace knit::detail {
namespace {

// Newer than the headers of liburing 2.3.
constexpr unsigned kFeatureNoIowait = 1U << 17;
constexpr unsigned kEnterNoIowait = 1U << 7;

// Completions are 16 bytes: a queue this much longer than the submissions' makes an overflow rare (it loses nothing,
// but costs an allocation for each completion).
constexpr unsigned kCompletionsForSubmission = 16;
constexpr unsigned kEntriesMin = 8;
constexpr unsigned kRequiredFeatures =
    IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG;

struct Named {
    unsigned bit;
    const char* name;
};

constexpr std::array kFlagNames = {
    Named{IORING_SETUP_SINGLE_ISSUER, "SINGLE_ISSUER"}, Named{IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN"},
    Named{IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN"},   Named{IORING_SETUP_TASKRUN_FLAG, "TASKRUN_FLAG"},
    Named{IORING_SETUP_SUBMIT_ALL, "SUBMIT_ALL"},       Named{IORING_SETUP_CQSIZE, "CQSIZE"},
    Named{IORING_SETUP_CLAMP, "CLAMP"},
};

constexpr unsigned kBaseFlags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;

// From the newest kernel to the oldest: -EINVAL means that a flag is unknown, so the next rung leaves some out.
constexpr std::array kLadder = {
    kBaseFlags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER |
        IORING_SETUP_DEFER_TASKRUN,                                                        // 6.1
    kBaseFlags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER |
        IORING_SETUP_COOP_TASKRUN,                                                         // 6.0
    kBaseFlags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN,  // 5.19
    kBaseFlags | IORING_SETUP_SUBMIT_ALL,                                                  // 5.18
    kBaseFlags,                                                                            // 5.11, by its features
};

std::vector<std::string> flag_names(unsigned flags) {
    std::vector<std::string> names;
    for (const Named& flag : kFlagNames) {
        if ((flags & flag.bit) != 0) {
            names.emplace_back(flag.name);
        }
    }
    return names;
}

/// The value of the sysctl, or -1 where the kernel has none.
int io_uring_disabled() noexcept {
    int value = -1;
    if (std::FILE* file = std::fopen("/proc/sys/kernel/io_uring_disabled", "re")) {
        if (std::fscanf(file, "%d", &value) != 1) {
            value = -1;
        }
        std::fclose(file);
    }
    return value;
}

std::string why_forbidden() {
    switch (io_uring_disabled()) {
        case 1:
            return "the sysctl kernel.io_uring_disabled is 1, which leaves io_uring to CAP_SYS_ADMIN and to the group "
                   "of kernel.io_uring_group: join that group, or set the sysctl to 0";
        case 2:
            return "the sysctl kernel.io_uring_disabled is 2, which forbids io_uring to everybody: set it to 0";
        default:
            return "a seccomp filter or security module denies it, as the default profile of container runtimes does: "
                   "allow io_uring_setup, io_uring_enter and io_uring_register there (Docker: --security-opt "
                   "seccomp=<profile>, or seccomp=unconfined)";
    }
}

std::string figure(rlim_t value) { return value == RLIM_INFINITY ? "unlimited" : std::to_string(value); }

std::string why_no_memory(unsigned entries) {
    rlimit limit{};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    const std::size_t needed = entries * (sizeof(io_uring_sqe) + kCompletionsForSubmission * sizeof(io_uring_cqe));
    return "no memory even for a ring of " + std::to_string(entries) + " entries (about " + std::to_string(needed) +
           " bytes); kernels before 5.12 charge it to the locked memory of the user, limit now " +
           figure(limit.rlim_cur) + " of " + figure(limit.rlim_max) +
           " bytes: raise it (ulimit -l), or set KNIT_RING_ENTRIES or KNIT_LOOPS lower";
}

std::string why_no_descriptor() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return "each loop needs two descriptors and the process may have " + figure(limit.rlim_cur) +
           ": raise the limit (ulimit -n), or set KNIT_LOOPS lower";
}

std::string why_not_set_up(int error, unsigned entries) {
    switch (error) {
        case ENOSYS:
            return "this kernel has no io_uring (knit needs Linux 5.11 or later, built with CONFIG_IO_URING), or a "
                   "seccomp filter hides it: allow io_uring_setup, io_uring_enter and io_uring_register there";
        case EPERM:
        case EACCES: return why_forbidden();
        case ENOMEM: return why_no_memory(entries);
        case EMFILE: return why_no_descriptor();
        case ENFILE: return "the whole system is out of descriptors: raise the sysctl fs.file-max";
        case EINVAL: return "the kernel refuses every set of flags that knit knows: Linux 5.11 or later is needed";
        case EFAULT: return "the kernel could not read the parameters: this is a bug in knit";
        default: return "an error that io_uring_setup(2) does not tell of";
    }
}

[[noreturn]] void refuse(int error, const std::string& text) {
    throw std::system_error(error, std::generic_category(), "knit cannot use io_uring: " + text);
}

}  // namespace

Ring::Ring(unsigned entries) {
    set_up(std::max(entries, kEntriesMin));
    try {
        check_features();
        probe();
    } catch (...) {
        io_uring_queue_exit(&ring_);
        throw;
    }
    // After a fork the child must not share the queues; that it fails there is no reason to fail here.
    static_cast<void>(io_uring_ring_dontfork(&ring_));
    if ((ring_.features & kFeatureNoIowait) != 0) {
        enter_flags_ |= kEnterNoIowait;  // a server that waits for its clients is idle, not waiting for a disk
    }
}

Ring::~Ring() { io_uring_queue_exit(&ring_); }  // before the memory of its buffers is freed

void Ring::FreeBuffers::operator()(io_uring_buf_ring* ring) const noexcept { std::free(ring); }

bool Ring::register_buffers(std::uint16_t group, unsigned entries) noexcept {
    constexpr std::size_t kPage = 4096;
    const std::size_t size = (entries * sizeof(io_uring_buf) + kPage - 1) / kPage * kPage;
    buffers_.reset(static_cast<io_uring_buf_ring*>(std::aligned_alloc(kPage, size)));
    if (buffers_ == nullptr) {
        return false;
    }
    io_uring_buf_ring_init(buffers_.get());
    buffers_mask_ = io_uring_buf_ring_mask(entries);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffers_.get());
    registration.ring_entries = entries;
    registration.bgid = group;
    return io_uring_register_buf_ring(&ring_, &registration, 0) == 0;  // else EINVAL: Linux before 5.19
}

void Ring::provide_buffer(void* bytes, std::size_t size, std::uint16_t id) noexcept {
    io_uring_buf_ring_add(buffers_.get(), bytes, static_cast<unsigned>(size), id, buffers_mask_, 0);
    io_uring_buf_ring_advance(buffers_.get(), 1);
}

void Ring::set_up(unsigned entries) {
    for (;;) {  // ends: each round has fewer entries, or returns, or throws
        int result = -EINVAL;
        unsigned granted = 0;
        for (const unsigned flags : kLadder) {
            result = set_up_rung(entries, flags);
            granted = flags;
            if (result != -EINVAL) {
                break;
            }
        }
        if (result == 0) {
            entries_ = entries;
            granted_ = granted;
            break;
        }
        if (result != -ENOMEM || entries <= kEntriesMin) {
            refuse(-result, why_not_set_up(-result, entries));
        }
        entries /= 2;
    }
    enter_fd_ = ring_.ring_fd;
    // The registered index saves the look-up of the descriptor in every enter. Kernels before 5.18 have none.
    if (io_uring_register_ring_fd(&ring_) == 1) {
        enter_fd_ = ring_.enter_ring_fd;
        enter_flags_ |= IORING_ENTER_REGISTERED_RING;
    }
}

int Ring::set_up_rung(unsigned entries, unsigned flags) noexcept {
    io_uring_params parameters{};
    parameters.flags = flags;
    parameters.cq_entries = entries * kCompletionsForSubmission;
    return io_uring_queue_init_params(entries, &ring_, &parameters);
}

void Ring::check_features() const {
    const unsigned missing = kRequiredFeatures & ~ring_.features;
    if (missing != 0) {
        char bits[16];
        std::snprintf(bits, sizeof bits, "%#x", missing);
        refuse(ENOSYS, std::string("the kernel lacks features (bits ") + bits +
                           ") that came with Linux 5.11: a newer kernel is needed");
    }
}

// A filter may allow the set-up and deny the rest: one real request shows it now and not in the middle of a program.
void Ring::probe() {
    io_uring_prep_nop(io_uring_get_sqe(&ring_));
    const int submitted = io_uring_submit_and_wait(&ring_, 1);
    if (submitted < 0) {
        refuse(-submitted, "the ring was made, but io_uring_enter fails: " + why_not_set_up(-submitted, 0));
    }
    int result = -EIO;
    reap([&result](std::uint64_t, int value, unsigned) { result = value; });
    if (result != 0) {
        refuse(-result, "the ring was made, but its first request, a no-op, fails");
    }
}

void Ring::give_up_index() noexcept {
    if ((enter_flags_ & IORING_ENTER_REGISTERED_RING) != 0) {
        // Else io_uring_queue_exit() would give up that index of the thread that it is called on.
        static_cast<void>(io_uring_unregister_ring_fd(&ring_));
        enter_fd_ = ring_.ring_fd;
        enter_flags_ &= ~static_cast<unsigned>(IORING_ENTER_REGISTERED_RING);
    }
}

std::vector<std::string> Ring::flags_granted() const { return flag_names(granted_); }

std::vector<std::string> Ring::flags_stripped() const { return flag_names(kLadder.front() & ~granted_); }

/// By a bit the kernel says that it has something to do on this thread, and takes it back when it does that. Whoever
/// has brought the work sets the bit last, and may do so when the work is done already. The bit then stands for
/// nothing, the kernel leaves it as it finds nothing to do, and a loop that goes by it would never sleep. So it is
/// taken back here, before the kernel looks: what comes later sets it anew. Only with DEFER_TASKRUN: else the bit comes
/// before the work can be found.
Ring::Entered Ring::enter_nowait() noexcept {
    const bool is_marked = (granted_ & IORING_SETUP_DEFER_TASKRUN) != 0 &&
                           (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) != 0;  // a hint
    if (is_marked) {
        __atomic_fetch_and(ring_.sq.kflags, ~IORING_SQ_TASKRUN, __ATOMIC_ACQ_REL);  // [ring.taskrun]
    }
    const int result = enter(0, IORING_ENTER_GETEVENTS, nullptr, _NSIG / 8);
    if (is_marked && result < 0) [[unlikely]] {
        __atomic_fetch_or(ring_.sq.kflags, IORING_SQ_TASKRUN, __ATOMIC_RELAXED);  // it may not have looked: once more
    }
    return outcome(result);
}

Ring::Entered Ring::enter_wait(Duration timeout) noexcept {
    if (timeout == Duration::max()) {
        return outcome(enter(1, IORING_ENTER_GETEVENTS, nullptr, _NSIG / 8));
    }
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
    __kernel_timespec time{};
    time.tv_sec = seconds.count();
    time.tv_nsec = (timeout - seconds).count();
    io_uring_getevents_arg argument{};
    argument.ts = reinterpret_cast<std::uintptr_t>(&time);
    return outcome(enter(1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument));
}

int Ring::enter(unsigned wait_count, unsigned flags, void* argument, std::size_t argument_size) noexcept {
    io_uring_sq& queue = ring_.sq;
    const unsigned count = queued();
    queue.sqe_head = queue.sqe_tail;
    __atomic_store_n(queue.ktail, queue.sqe_tail, __ATOMIC_RELEASE);  // [ring.sq]
    const int result = call(count, wait_count, flags, argument, argument_size);
    if (result == -EAGAIN || (result >= 0 && static_cast<unsigned>(result) < count)) [[unlikely]] {
        // The kernel leaves it at that. But what has completed may hold the very memory that a request was refused for.
        const int collected = call(0, 0, IORING_ENTER_GETEVENTS, nullptr, _NSIG / 8);
        return collected < 0 && collected != -EINTR ? collected : result;
    }
    return result;
}

/// liburing calls the argument a signal set; the kernel takes it for what the flags say.
int Ring::call(unsigned count, unsigned wait_count, unsigned flags, void* argument, std::size_t size) const noexcept {
    return io_uring_enter2(static_cast<unsigned>(enter_fd_), count, wait_count, flags | enter_flags_,
                           static_cast<sigset_t*>(argument), size);
}

Ring::Entered Ring::outcome(int result) noexcept {
    if (result >= 0) {
        return Entered::done;  // a short submission keeps the rest in the queue, where queued() sees it
    }
    switch (-result) {
        case ETIME: return Entered::done;   // the timeout, as asked
        case EINTR: return Entered::done;   // a signal; the caller looks at everything again anyway
        case EAGAIN: return Entered::busy;  // no memory for requests just now
        case EBUSY: return Entered::busy;   // overflown completions have to be collected first
        // A completion was dropped for good, for want of memory: some task would wait for ever.
        case EBADR: die("io_uring_enter: a completion was lost", EBADR);
        case EEXIST: die("io_uring_enter: called by a thread that did not make the ring", EEXIST);
        case ENXIO: die("io_uring_enter: the ring is being torn down", ENXIO);
        case EBADFD: die("io_uring_enter: the ring is disabled", EBADFD);
        case EBADF: die("io_uring_enter: somebody closed the ring's descriptor", EBADF);
        case EOPNOTSUPP: die("io_uring_enter: the descriptor is no ring", EOPNOTSUPP);
        case EFAULT: die("io_uring_enter: bad address", EFAULT);
        case EINVAL: die("io_uring_enter: bad argument", EINVAL);
        case EOWNERDEAD: die("io_uring_enter: the kernel's submission thread has died", EOWNERDEAD);
        default: die("io_uring_enter: an error that its manual does not tell of", -result);
    }
}

}  // namespace knit::detail
