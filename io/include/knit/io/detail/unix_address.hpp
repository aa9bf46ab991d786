/// UnixAddress: the name of a Unix socket as the kernel takes it. Not part of SocketAddress, as its 110 bytes would be
/// paid by every TCP connection.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <string>

namespace knit::detail {

class UnixAddress {
public:
    /// Unnamed: a socket that is bound to it gets an abstract name of the kernel's choice.
    UnixAddress() noexcept = default;
    /// A path, or an abstract name behind an "@" or a NUL. Throws ValueError when it is too long or has another NUL.
    explicit UnixAddress(const std::filesystem::path& path);

    sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&address_); }
    const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&address_); }
    /// In: the room that there is; out: how much the kernel wrote.
    socklen_t* size_word() noexcept { return &size_; }
    socklen_t size() const noexcept { return size_; }
    void reserve_all() noexcept { size_ = sizeof address_; }
    bool is_unnamed() const noexcept { return size_ <= sizeof(sa_family_t); }
    /// Whether it names a file.
    bool is_file() const noexcept { return !is_unnamed() && address_.sun_path[0] != '\0'; }
    /// What the constructor takes; an abstract name with an '@'.
    std::string path() const;

private:
    sockaddr_un address_{AF_UNIX, {}};
    socklen_t size_ = sizeof(sa_family_t);
};

/// The names of a socket and of its peer; unnamed where it has none.
UnixAddress unix_local_address(int number) noexcept;
UnixAddress unix_peer_address(int number) noexcept;

}  // namespace knit::detail
