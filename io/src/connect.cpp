#include "connect.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "connect_op.hpp"
#include "knit/exception_group.hpp"
#include "knit/staggered_race.hpp"
#include "knit/timeout.hpp"
#include "resolve.hpp"

namespace knit::detail {
namespace {

void bind_to(const Fd& fd, const SocketAddress& peer, const std::vector<SocketAddress>& local) {
    const auto mine = std::find_if(local.begin(), local.end(), [&peer](const SocketAddress& address) {
        return address.family() == peer.family();
    });
    if (mine == local.end()) {
        throw std::system_error(EAFNOSUPPORT, std::generic_category(),
                                "connect " + peer.to_string() + " from " + local.front().to_string());
    }
    // The port, if it is the kernel's choice, is chosen for this peer: the same one serves for many.
    const int on = 1;
    static_cast<void>(setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on));
    if (::bind(fd.get(), mine->data(), mine->size()) != 0) {
        throw std::system_error(errno, std::generic_category(),
                                "bind " + mine->to_string() + " to connect to " + peer.to_string());
    }
}

Coro<io::TcpStream> connect_to(SocketAddress peer, const std::vector<SocketAddress>& local) {
    Fd fd(::socket(peer.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) {
        throw std::system_error(errno, std::generic_category(), "make a socket for " + peer.to_string());
    }
    if (!local.empty()) {
        bind_to(fd, peer, local);
    }
    DescriptorOwner socket(new SocketDescriptor(std::move(fd), peer));
    try {
        co_await ConnectOp(socket, peer.data(), peer.size());
    } catch (const std::system_error& error) {
        // Without the port that the kernel chose here, which says nothing.
        throw std::system_error(error.code(), "connect " + peer.to_string());
    }
    io::TcpStream stream(static_cast<SocketDescriptor*>(socket.release()));
    stream.nodelay(true);
    co_return stream;
}

/// Whether it tells of this machine's addresses only, not of the peer.
bool is_about_route(const std::error_code& code) noexcept {
    return code == std::errc::network_unreachable || code == std::errc::address_not_available ||
           code == std::errc::address_family_not_supported;
}

Coro<io::TcpStream> connect_by_name(io::Endpoint endpoint, io::ConnectOptions options) {
    std::vector<SocketAddress> local;
    if (options.local_endpoint) {
        local = co_await resolve_off_loop(*options.local_endpoint, Purpose::listen);
    }
    std::vector<SocketAddress> addresses = co_await resolve_off_loop(std::move(endpoint), Purpose::connect);
    co_return co_await connect_to_any(std::move(addresses), std::move(local), std::move(options));
}

}  // namespace

Coro<io::TcpStream> connect_to_any(std::vector<SocketAddress> addresses, std::vector<SocketAddress> local,
                                   io::ConnectOptions options) {
    KNIT_ASSERT(!addresses.empty());
    if (addresses.size() == 1 && !options.all_errors) {
        co_return co_await connect_to(addresses.front(), local);
    }
    std::vector<std::function<Coro<io::TcpStream>()>> attempts;
    for (const SocketAddress& address : interleave(addresses, options.interleave)) {
        attempts.emplace_back([address, &local] { return connect_to(address, local); });
    }
    auto race = staggered_race<io::TcpStream>(std::move(attempts), options.happy_eyeballs_delay);
    auto outcome = co_await std::move(race);
    if (!outcome.winner) {
        throw_connect_errors(outcome.exceptions, options.all_errors);
    }
    co_return std::move(*outcome.winner);
}

std::vector<SocketAddress> interleave(const std::vector<SocketAddress>& addresses, std::size_t first_count) {
    if (first_count == 0 || addresses.empty()) {
        return addresses;
    }
    std::vector<SocketAddress> first;
    std::vector<SocketAddress> other;
    for (const SocketAddress& address : addresses) {
        (address.family() == addresses.front().family() ? first : other).push_back(address);
    }
    std::vector<SocketAddress> result;
    std::size_t taken = std::min(first_count - 1, first.size());
    result.insert(result.end(), first.begin(), first.begin() + static_cast<std::ptrdiff_t>(taken));
    for (std::size_t i = 0; taken < first.size() || i < other.size(); ++i) {
        if (taken < first.size()) {
            result.push_back(first[taken++]);
        }
        if (i < other.size()) {
            result.push_back(other[i]);
        }
    }
    return result;
}

void throw_connect_errors(const std::vector<std::exception_ptr>& errors, bool all_errors) {
    if (all_errors) {
        throw ExceptionGroup("connect failed", errors);
    }
    std::error_code code;
    std::vector<std::string> texts;
    for (const std::exception_ptr& each : errors) {
        try {
            std::rethrow_exception(each);
        } catch (const std::system_error& error) {
            // What the peer said tells more than that there is no way to its other family's address.
            if (!code || !is_about_route(error.code()) || is_about_route(code)) {
                code = error.code();
            }
            texts.emplace_back(error.what());
        }
    }
    if (std::all_of(texts.begin(), texts.end(), [&texts](const std::string& text) { return text == texts.front(); })) {
        std::rethrow_exception(errors.front());
    }
    std::string text = "Multiple exceptions: " + texts.front();
    for (std::size_t i = 1; i < texts.size(); ++i) {
        text += ", " + texts[i];
    }
    throw std::system_error(code, text);
}

}  // namespace knit::detail

namespace knit::io {

Coro<TcpStream> TcpStream::connect(Endpoint endpoint, ConnectOptions options) {
    const std::optional<Duration> limit = options.timeout;
    if (!limit) {
        co_return co_await knit::detail::connect_by_name(std::move(endpoint), std::move(options));
    }
    std::string whom = endpoint.to_string();
    auto connecting = knit::detail::connect_by_name(std::move(endpoint), std::move(options));
    try {
        co_return co_await with_timeout(*limit, std::move(connecting));
    } catch (const TimeoutError&) {
        const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(*limit).count();
        throw TimeoutError("connect " + whom + ": no connection within " + std::to_string(time) + " ms");
    }
}

}  // namespace knit::io
