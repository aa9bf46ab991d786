#include "resolve.hpp"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "knit/to_thread.hpp"

namespace knit::detail {
namespace {

class ResolveCategory : public std::error_category {
public:
    const char* name() const noexcept override { return "getaddrinfo"; }
    std::string message(int code) const override { return gai_strerror(code); }
};

struct FreeList {
    void operator()(addrinfo* list) const noexcept { freeaddrinfo(list); }
};
using List = std::unique_ptr<addrinfo, FreeList>;

/// Null and a code of getaddrinfo in `error` when that fails.
List look_up(const io::Endpoint& endpoint, Purpose purpose, int flags, int& error) noexcept {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV | (purpose == Purpose::listen ? AI_PASSIVE : 0);
    const std::string port = std::to_string(endpoint.port());
    const char* const host = endpoint.host().empty() ? nullptr : endpoint.host().c_str();
    addrinfo* list = nullptr;
    error = getaddrinfo(host, port.c_str(), &hints, &list);
    return List(error == 0 ? list : nullptr);
}

std::vector<SocketAddress> addresses(const addrinfo* list) {
    std::vector<SocketAddress> result;
    for (; list != nullptr; list = list->ai_next) {
        const SocketAddress address(list->ai_addr, list->ai_addrlen);
        if (!address.empty()) {
            result.push_back(address);
        }
    }
    return result;
}

}  // namespace

const std::error_category& resolve_category() noexcept {
    static const ResolveCategory category;
    return category;
}

void add_endpoints(const addrinfo* list, std::vector<io::Endpoint>& found) {
    for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
        io::Endpoint endpoint = SocketAddress(each->ai_addr, each->ai_addrlen);
        if (std::find(found.begin(), found.end(), endpoint) == found.end()) {
            found.push_back(std::move(endpoint));
        }
    }
}

bool is_literal(const io::Endpoint& endpoint) noexcept {
    int error = 0;
    return endpoint.host().empty() || look_up(endpoint, Purpose::connect, AI_NUMERICHOST, error) != nullptr;
}

std::vector<SocketAddress> resolve(const io::Endpoint& endpoint, Purpose purpose) {
    int error = 0;
    const List list = look_up(endpoint, purpose, 0, error);
    if (list == nullptr) {
        const std::string text = "resolve " + endpoint.to_string();
        if (error == EAI_SYSTEM) {
            throw std::system_error(errno, std::generic_category(), text);
        }
        throw std::system_error(error, resolve_category(), text);
    }
    std::vector<SocketAddress> result = addresses(list.get());
    if (result.empty()) {
        throw std::system_error(EAI_NONAME, resolve_category(), "resolve " + endpoint.to_string());
    }
    if (purpose == Purpose::listen && endpoint.host().empty()) {
        // One IPv6 socket takes both families; it is tried before the IPv4 one.
        std::partition(result.begin(), result.end(),
                       [](const SocketAddress& address) { return address.family() == AF_INET6; });
    }
    return result;
}

Coro<std::vector<SocketAddress>> resolve_off_loop(io::Endpoint endpoint, Purpose purpose) {
    if (is_literal(endpoint)) {
        co_return resolve(endpoint, purpose);
    }
    auto in_thread = to_thread([endpoint, purpose] { return resolve(endpoint, purpose); });
    co_return co_await std::move(in_thread);
}

}  // namespace knit::detail
