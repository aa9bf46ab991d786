#include "knit/http/server.hpp"

#include <cstring>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

#include "knit/error.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "knit/runtime.hpp"
#include "server_core.hpp"
#include "text.hpp"

namespace knit::http {
namespace detail {

ServerCore::ServerCore(std::shared_ptr<const RouterCore> routes, const ServerOptions& wanted)
    : router(std::move(routes)),
      options(wanted),
      limits{wanted.request_line_max, wanted.head_max, wanted.header_count_max},
      shards(get_runtime().size()) {}

bool is_closing(const ServerCore& core) noexcept { return core.is_closing(); }

void ServerCore::close() {
    if (is_closing_.exchange(true, std::memory_order_relaxed)) {  // relaxed: the messages below order what follows
        return;
    }
    closing.set();
    Runtime& runtime = get_runtime();
    for (std::size_t index = 0; index < shards.size(); ++index) {
        auto end = [core = shared_from_this(), index] { core->end_idle(index); };
        try {
            runtime.loop(index).call_soon_threadsafe(std::move(end));
        } catch (const RuntimeError&) {
            continue;  // the loop is closed, and its connections with it
        } catch (const std::bad_alloc&) {
            continue;  // its connections end with their next request; the other loops may have memory
        }
    }
}

void ServerCore::end_idle(std::size_t loop) noexcept {
    for (ConnectionBase* connection = shards[loop].connections; connection != nullptr; connection = connection->next) {
        connection->end_when_idle();
    }
    for (Handshake* handshake = shards[loop].handshakes; handshake != nullptr; handshake = handshake->next) {
        handshake->expire();
    }
}

Handshake::Handshake(ServerCore& core) : shard_(core.shards[get_running_loop().id()]) {
    watch_.start();
    watch_.begin(core.options.handshake_timeout);
    next = std::exchange(shard_.handshakes, this);
    if (next != nullptr) {
        next->previous = this;
    }
}

Handshake::~Handshake() {
    (previous != nullptr ? previous->next : shard_.handshakes) = next;
    if (next != nullptr) {
        next->previous = previous;
    }
}

namespace {

/// A peer that does not get as far as HTTP is no fault of ours: for LogLevel::debug.
void log_wrap_error(const std::exception& error) {
    knit::detail::log(LogLevel::debug, std::string("knit: http: a connection is no good: ") + error.what());
}

}  // namespace

void Handshake::end(const std::exception_ptr& error) {
    try {
        if (error != nullptr) {
            std::rethrow_exception(error);
        }
        watch_.end();
    } catch (const CancelledError&) {
        if (!watch_.end_cancelled()) {
            throw;
        }
    } catch (const std::system_error& failure) {
        watch_.end();
        log_wrap_error(failure);
    } catch (const TimeoutError& failure) {
        watch_.end();
        log_wrap_error(failure);
    } catch (...) {
        watch_.end();
        throw;
    }
}

void DateLine::write(std::time_t now) noexcept {
    const HttpDate date = write_http_date(now);
    second_ = now;
    length_ = 0;
    const std::string_view parts[] = {"Date: ", {date.data(), date.size()}, "\r\n"};
    for (const std::string_view part : parts) {
        std::memcpy(text_.data() + length_, part.data(), part.size());
        length_ += part.size();
    }
}

std::shared_ptr<ServerCore> make_server_core(const Router& router, const ServerOptions& options) {
    const auto check = [](Duration limit, const char* name) {
        if (limit < Duration::zero()) {
            throw ValueError(std::string("ServerOptions::") + name + " is negative: say zero for no limit");
        }
    };
    check(options.handshake_timeout, "handshake_timeout");
    check(options.header_timeout, "header_timeout");
    check(options.idle_timeout, "idle_timeout");
    check(options.body_timeout, "body_timeout");
    check(options.write_timeout, "write_timeout");
    if (options.head_max < 64 || options.request_line_max < 16 || options.header_count_max == 0) {
        throw ValueError("ServerOptions: no request has room in so small a head_max, request_line_max or "
                         "header_count_max");
    }
    if (options.http2_streams_max == 0 || options.http2_streams_max > 1'000'000) {
        throw ValueError("ServerOptions::http2_streams_max is 1 to 1,000,000");
    }
    const auto routes = router.core();
    routes->freeze();
    return std::make_shared<ServerCore>(routes, options);
}

io::ServeOptions serve_options(const ServerOptions& options) {
    io::ServeOptions serving;
    serving.max_connections = options.max_connections;
    serving.shutdown_timeout = options.shutdown_timeout;
    serving.backlog = options.backlog;
    return serving;
}

namespace {

Coro<> serve_until_closed(std::shared_ptr<io::Server> server, std::shared_ptr<ServerCore> core) {
    std::exception_ptr end;
    try {
        co_await core->closing.wait();
    } catch (const CancelledError&) {
        end = std::current_exception();
    }
    server->close();
    core->close();
    Coro<> ending = server->wait_closed();
    co_await std::move(ending);
    if (end != nullptr) {
        std::rethrow_exception(end);
    }
    throw CancelledError("the server has been closed");
}

}  // namespace
}  // namespace detail

Server::Server(io::Server server, std::shared_ptr<detail::ServerCore> core)
    : server_(std::make_shared<io::Server>(std::move(server))), core_(std::move(core)) {}

Server& Server::operator=(Server&& other) noexcept {
    if (this != &other) {
        Server gone(std::move(*this));
        server_ = std::move(other.server_);
        core_ = std::move(other.core_);
    }
    return *this;
}

Server::~Server() {
    if (core_ != nullptr) {
        try {
            close();
        } catch (const RuntimeError&) {
            core_ = nullptr;  // no loop runs any more, so there is nothing to end
        }
    }
}

io::Server& Server::server() const {
    if (server_ == nullptr) {
        throw RuntimeError("there is no http::Server: it was moved from, or never given one by http::serve()");
    }
    return *server_;
}

void Server::close() {
    server().close();
    core_->close();
}

Coro<> Server::wait_closed() { return server().wait_closed(); }

Coro<> Server::serve_forever() {
    static_cast<void>(server());
    return detail::serve_until_closed(server_, core_);
}

io::Endpoint Server::local_endpoint() const { return server().local_endpoint(); }

std::size_t Server::connection_count() const { return server().connection_count(); }

Coro<Server> serve(io::Endpoint endpoint, Router router, ServerOptions options) {
    auto core = detail::make_server_core(router, options);
    const io::ServeOptions serving = detail::serve_options(options);
    auto handler = [core](io::TcpStream stream) { return detail::serve_stream(std::move(stream), core); };
    Coro<io::Server> starting = io::serve(std::move(endpoint), std::move(handler), serving);
    io::Server server = co_await std::move(starting);
    co_return Server(std::move(server), std::move(core));
}

}  // namespace knit::http
