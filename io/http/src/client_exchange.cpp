#include "client_exchange.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

#include "knit/error.hpp"
#include "knit/wait.hpp"

namespace knit::http::detail {

bool is_idempotent(std::string_view method) noexcept {
    constexpr std::array<std::string_view, 6> kMethods = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    return std::ranges::find(kMethods, method) != kMethods.end();
}

Coro<> write_upload(std::shared_ptr<UploadSink> sink, std::string_view bytes) {
    if (bytes.empty()) {
        co_return;
    }
    co_await resume_on(sink->loop);
    if (sink->sink == nullptr) {
        throw std::system_error(ECANCELED, std::generic_category(), "the function that makes the body has ended");
    }
    Coro<> writing = sink->sink->write_chunk(bytes);
    co_await std::move(writing);
}

Coro<> write_upload_owned(std::shared_ptr<UploadSink> sink, std::string bytes) {
    Coro<> writing = write_upload(std::move(sink), bytes);
    co_await std::move(writing);
}

std::optional<TimePoint> ClientExchange::read_until(Duration limit) const {
    if (limit <= Duration::zero()) {
        return deadline_;
    }
    const TimePoint until = knit::detail::after(std::chrono::steady_clock::now(), limit);
    return deadline_ ? std::min(*deadline_, until) : until;
}

bool ClientExchange::is_early(bool is_sending, TimePoint sent_at, Duration limit) const {
    const TimePoint now = std::chrono::steady_clock::now();
    return (is_sending || now < knit::detail::after(sent_at, limit)) && (!deadline_ || now < *deadline_);
}

ClientExchange::~ClientExchange() {
    if (upload_.ref()) {
        try {
            upload_.cancel();
        } catch (const std::bad_alloc&) {  // on another loop: it goes on until the peer ends it
        }
    }
}

void ClientExchange::begin_upload(Coro<> sending) { upload_ = create_task(std::move(sending)); }

/// The function that makes the body has what it refers to as long as the request and its answer are under way.
Coro<> ClientExchange::end_upload() {
    if (!upload_.ref()) {
        co_return;
    }
    Task<> upload = std::exchange(upload_, Task<>());
    upload.cancel();
    const std::array<Task<>, 1> uploads = {upload};
    std::exception_ptr cancelled;
    while (!upload.done()) {
        try {
            static_cast<void>(co_await wait(uploads));
        } catch (const CancelledError&) {
            cancelled = std::current_exception();
        }
    }
    if (cancelled != nullptr) {
        std::rethrow_exception(cancelled);
    }
}

}  // namespace knit::http::detail
