/// UnixDescriptor, and how Unix sockets are made: for streams, listeners and datagrams.
#pragma once

#include <string>
#include <utility>

#include "knit/io/detail/fd.hpp"
#include "knit/io/detail/unix_address.hpp"
#include "knit/io/socket.hpp"

namespace knit::detail {

class UnixDescriptor final : public SocketDescriptor {
public:
    /// `to` is whom it connects to, for messages.
    explicit UnixDescriptor(Fd fd, std::string to = {}) : SocketDescriptor(std::move(fd)), whom(std::move(to)) {}
    std::string describe() const override;

    std::string whom;
};

/// `whom` is for messages. Throws std::system_error, as the others here.
Fd make_unix_socket(int type, const std::string& whom);
std::pair<Fd, Fd> make_unix_pair(int type);
/// A socket's file that is there already is replaced.
void bind_unix(int number, const UnixAddress& address);

}  // namespace knit::detail
