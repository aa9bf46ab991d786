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
/// That doorbell, if anybody has ever rung it.
void ring_without_reason(int bell);

}  // namespace knit::fault
