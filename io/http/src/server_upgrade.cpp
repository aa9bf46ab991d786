// ConnectionBase: the bare stream after a change of protocol.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "knit/error.hpp"
#include "knit/event.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "knit/http/error.hpp"
#include "knit/loop.hpp"
#include "knit/timeout.hpp"
#include "server_core.hpp"
#include "text.hpp"

namespace knit::http {
namespace detail {

/// What an UpgradedStream has of its connection, which may be gone before it. But for loop and peer, on that loop.
struct Upgraded {
    Upgraded(ConnectionBase& of, Loop& where, io::Endpoint other)
        : connection(&of), loop(where), peer(std::move(other)) {}

    ConnectionBase* connection;  ///< null once it has ended
    Loop& loop;
    const io::Endpoint peer;
    std::size_t call_count = 0;  ///< in flight
    Event idle;                  ///< set when that becomes zero
    std::function<void()> tell_closing;
};

namespace {

/// One call in flight: the connection waits for its end.
class Call {
public:
    explicit Call(Upgraded& upgraded) : upgraded_(upgraded) {
        if (upgraded_.connection == nullptr) {
            throw std::system_error(ECANCELED, std::generic_category(),
                                    "the function that was given to Response::upgrade() has ended, and the connection "
                                    "with it");
        }
        ++upgraded_.call_count;
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() {
        if (--upgraded_.call_count == 0) {
            upgraded_.idle.set();
        }
    }

private:
    Upgraded& upgraded_;
};

Coro<std::size_t> read_upgraded(std::shared_ptr<Upgraded> upgraded, std::span<std::byte> buffer) {
    co_await resume_on(upgraded->loop);
    const Call call(*upgraded);
    Coro<std::size_t> reading = upgraded->connection->read_bare(buffer);
    co_return co_await std::move(reading);
}

Coro<> write_upgraded(std::shared_ptr<Upgraded> upgraded, std::span<const std::byte> bytes) {
    co_await resume_on(upgraded->loop);
    const Call call(*upgraded);
    Coro<> writing = upgraded->connection->write_bare(bytes);
    co_await std::move(writing);
}

Coro<> shutdown_upgraded(std::shared_ptr<Upgraded> upgraded) {
    co_await resume_on(upgraded->loop);
    const Call call(*upgraded);
    Coro<> shutting = upgraded->connection->shutdown_bare();
    co_await std::move(shutting);
}

/// The field lines of that name.
std::string lines_of(std::string_view fields, std::string_view name) {
    std::string lines;
    while (!fields.empty()) {
        const std::string_view line = fields.substr(0, fields.find('\n') + 1);
        fields.remove_prefix(line.size());
        if (equals_ignoring_case(line.substr(0, line.find(':')), name)) {
            lines.append(line);
        }
    }
    return lines;
}

}  // namespace

/// A change that the client did not ask for would be read as a malformed answer; one with a body on its way, as its
/// first bytes.
void ConnectionBase::check_upgrade(Response& response) {
    if (!is_body_done_) {
        response = Response(400, HttpError(400).text());
        response.close();
    } else if (!head_.wants_upgrade || head_.is_http10) {
        std::string fields = lines_of(response.fields_, "Upgrade");
        response = Response(426, HttpError(426).text());
        response.fields_ = std::move(fields);
    }
}

Coro<> ConnectionBase::run_upgraded(Response& response) {
    end_request();  // what has come behind the body is the new protocol's; what the request's texts are of may go
    head_ = Head();
    forget(*request_);
    const auto upgraded = std::make_shared<Upgraded>(*this, watch_.loop(), peer());
    upgraded_ = upgraded.get();
    if (input_.rest().empty()) {
        input_.release();  // the loop lends few, and this may last
    }
    std::exception_ptr error;
    try {
        Coro<> running = response.extra_->upgrade(UpgradedStream(upgraded));
        co_await std::move(running);
    } catch (...) {
        error = std::current_exception();
    }
    // Others may have the stream still: what they have begun ends before the connection does.
    while (upgraded->connection != nullptr || upgraded->call_count != 0) {
        try {
            co_await resume_on(watch_.loop());
            upgraded->connection = nullptr;
            upgraded_ = nullptr;
            if (upgraded->call_count != 0) {
                close_bare();
                upgraded->idle.clear();
                co_await upgraded->idle.wait();
            }
        } catch (const CancelledError&) {
            error = std::current_exception();
        }
    }
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

void ConnectionBase::tell_closing() noexcept {
    if (upgraded_ != nullptr && upgraded_->tell_closing) {
        try {
            std::exchange(upgraded_->tell_closing, nullptr)();
        } catch (...) {
            ExceptionContext context;
            context.message = "Unhandled exception in the function that was given to UpgradedStream::when_closing()";
            context.exception = std::current_exception();
            context.loop = &watch_.loop();
            watch_.loop().call_exception_handler(context);
        }
    }
}

Coro<std::size_t> ConnectionBase::read_bare(std::span<std::byte> buffer) {
    if (input_.rest().empty()) {
        input_.release();
        Coro<std::size_t> reading = read_stream(buffer);
        co_return co_await std::move(reading);
    }
    const std::string_view piece = input_.rest().substr(0, buffer.size());
    std::memcpy(buffer.data(), piece.data(), piece.size());
    input_.consume(piece.size());
    co_return piece.size();
}

/// Called by tasks of the program's own, which the Watch knows nothing of.
Coro<> ConnectionBase::write_bare(std::span<const std::byte> bytes) {
    expect_whole();
    const Duration limit = core_->options.write_timeout;
    std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto send_rest = [&](Timeout&) { return send_some(rest); };
    while (!rest.empty()) {
        Timeout timeout(limit > Duration::zero() ? std::optional(knit::detail::after(watch_.loop().time(), limit))
                                                 : std::nullopt);
        std::size_t count = 0;
        try {
            Coro<std::size_t> sending = timeout_scope(timeout, send_rest);
            count = co_await std::move(sending);
        } catch (const TimeoutError&) {
            throw_write_timeout();
        } catch (const std::system_error&) {
            is_broken_ = has_peer_gone_ = true;
            throw;
        } catch (...) {
            is_broken_ = true;
            throw;
        }
        if (timeout.expired()) {
            throw_write_timeout();  // TLS has taken bytes that the peer has not
        }
        rest.remove_prefix(count);
    }
}

}  // namespace detail

Coro<std::size_t> UpgradedStream::read_some(std::span<std::byte> buffer) {
    return detail::read_upgraded(upgraded_, buffer);
}

Coro<> UpgradedStream::write(std::span<const std::byte> bytes) { return detail::write_upgraded(upgraded_, bytes); }

Coro<> UpgradedStream::shutdown() { return detail::shutdown_upgraded(upgraded_); }

void UpgradedStream::close() noexcept {
    if (upgraded_ != nullptr && upgraded_->connection != nullptr) {
        upgraded_->connection->close_bare();
    }
}

void UpgradedStream::when_closing(std::function<void()> tell) const {
    upgraded_->tell_closing = std::move(tell);
    if (upgraded_->connection != nullptr && upgraded_->connection->is_server_closing()) {
        upgraded_->connection->tell_closing();
    }
}

io::Endpoint UpgradedStream::peer_endpoint() const { return upgraded_->peer; }

}  // namespace knit::http
