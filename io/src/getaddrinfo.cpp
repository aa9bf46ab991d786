#include "knit/io/getaddrinfo.hpp"

#include <netdb.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

#include "knit/error.hpp"
#include "knit/timeout.hpp"
#include "knit/to_thread.hpp"
#include "resolve.hpp"

namespace knit::io {
namespace {

struct Question {
    std::string host;
    std::string service;
    AddressOptions options;

    std::string text() const { return "getaddrinfo " + host + (service.empty() ? "" : " " + service); }
};

int family_of(Family family) noexcept {
    switch (family) {
        case Family::ipv4: return AF_INET;
        case Family::ipv6: return AF_INET6;
        case Family::any: break;
    }
    return AF_UNSPEC;
}

/// The codes of getaddrinfo(3).
int look_up(const Question& question, int flags, std::vector<Endpoint>& found) {
    addrinfo hints{};
    hints.ai_family = family_of(question.options.family);
    hints.ai_socktype = SOCK_STREAM;  // otherwise each address comes once for each type
    hints.ai_flags = flags | (question.options.to_listen ? AI_PASSIVE : 0);
    const char* const host = question.host.empty() ? nullptr : question.host.c_str();
    const char* const service = question.service.empty() ? nullptr : question.service.c_str();
    addrinfo* list = nullptr;
    const int error = ::getaddrinfo(host, host == nullptr && service == nullptr ? "0" : service, &hints, &list);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> keeper(error == 0 ? list : nullptr, [](addrinfo* each) {
        if (each != nullptr) {
            ::freeaddrinfo(each);
        }
    });
    knit::detail::add_endpoints(keeper.get(), found);
    return error;
}

std::vector<Endpoint> checked(const Question& question, int error, std::vector<Endpoint> found) {
    if (error == EAI_SYSTEM) {
        throw std::system_error(errno, std::generic_category(), question.text());
    }
    if (error != 0) {
        throw std::system_error(error, address_category(), question.text());
    }
    return found;
}

std::vector<Endpoint> look_up_blocking(const Question& question) {
    std::vector<Endpoint> found;
    const int error = look_up(question, 0, found);
    return checked(question, error, std::move(found));
}

Coro<std::vector<Endpoint>> ask(Question question) {
    for (const std::string* text : {&question.host, &question.service}) {
        if (text->find('\0') != std::string::npos) {
            throw ValueError("getaddrinfo() was given a name with a NUL in it");
        }
    }
    std::vector<Endpoint> found;
    const int error = look_up(question, AI_NUMERICHOST | AI_NUMERICSERV, found);
    if (error == 0 || (error == EAI_NONAME && question.options.numeric_only)) {
        co_return checked(question, error, std::move(found));
    }
    const std::optional<Duration> limit = question.options.timeout;
    const std::string text = question.text();
    auto in_thread = to_thread([question = std::move(question)] { return look_up_blocking(question); });
    if (!limit) {
        co_return co_await std::move(in_thread);
    }
    try {
        co_return co_await with_timeout(*limit, std::move(in_thread));
    } catch (const TimeoutError&) {
        const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(*limit).count();
        throw TimeoutError(text + ": no answer within " + std::to_string(time) + " ms");
    }
}

}  // namespace

const std::error_category& address_category() noexcept { return knit::detail::resolve_category(); }

Coro<std::vector<Endpoint>> getaddrinfo(std::string host, std::string service, AddressOptions options) {
    return ask({std::move(host), std::move(service), options});
}

Coro<std::vector<Endpoint>> getaddrinfo(std::string host, long port, AddressOptions options) {
    return ask({std::move(host), std::to_string(port), options});
}

}  // namespace knit::io
