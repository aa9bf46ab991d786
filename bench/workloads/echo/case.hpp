/// echo: connections over loopback, server and clients in one process; each client sends a message and awaits it back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bench::echo {

inline constexpr std::uint64_t kConnections = 64;
inline constexpr std::uint64_t kMessages = 1000;
inline constexpr std::size_t kSize = 64;
inline constexpr std::size_t kSizeMost = 65536;

/// Byte `offset` of message `number` on one connection: a wrong or a shifted echo does not go unseen.
constexpr unsigned char byte_at(std::uint64_t number, std::size_t offset) {
    return static_cast<unsigned char>(number * 131 + offset * 7);
}

}  // namespace bench::echo
