/// What the edges of both drivers share.
#pragma once

#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <random>

#include "edge.hpp"

struct io_uring;

namespace knit::detail {
class Doorbell;
}

namespace knit::fault {

inline constexpr std::array kReadErrors{
    ECONNRESET, EINTR, EIO, ENOMEM, ENOBUFS, ETIMEDOUT, EHOSTUNREACH, EBADF, EINVAL};
inline constexpr std::array kWriteErrors{
    EPIPE, ECONNRESET, ENOBUFS, ENOMEM, EINTR, ENOSPC, EDQUOT, EFBIG, EIO, EHOSTUNREACH};
inline constexpr std::array kAcceptErrors{EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EINTR, EPROTO, EPERM};
inline constexpr std::array kConnectErrors{ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRNOTAVAIL, EACCES, EINTR, EAGAIN};
inline constexpr std::array kOpenErrors{ENOENT, EACCES, EMFILE, ENFILE, ENOSPC, EROFS, ELOOP, EINTR, ENOMEM, EISDIR};
inline constexpr std::array kSyncErrors{EIO, ENOSPC, EDQUOT, EINTR, EROFS};
inline constexpr std::array kBellErrors{EINTR, EAGAIN, ECANCELED};
// What an operation goes on after.
inline constexpr std::array kPassing{EINTR};
inline constexpr std::array kPassingAccept{EINTR, ECONNABORTED, EPROTO, EPERM, ENETDOWN, EHOSTUNREACH};
inline constexpr std::array kPassingZeroCopy{EINTR, ENOMEM, ENOBUFS, EINVAL, EOPNOTSUPP};

struct Edge;

/// What is written of a plan, by several threads.
struct Shared {
    std::recursive_mutex mutex;
    Plan plan;
    Counts counts;
    std::set<int> errors;
    std::mt19937_64 random;  ///< for what no ring decides
    std::map<io_uring*, Edge*> edges;
    std::uint64_t rings = 0;
    std::map<int, detail::Doorbell*> bells;  ///< that have been rung, by their descriptors

    bool happens(unsigned per_mille) { return plan.seed != 0 && per_mille != 0 && random() % 1000 < per_mille; }
};

Shared& shared();
/// What a thread waits for when it is to be late.
void let_others_go_on(int times = 1);
/// Whether the calling thread has a ring of its own.
bool is_ring_here();
/// That doorbell, if anybody has ever rung it.
void ring_without_reason(int bell);

}  // namespace knit::fault
