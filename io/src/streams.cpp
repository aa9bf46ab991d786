#include "knit/io/streams.hpp"

#include <sys/ioctl.h>

#include <string>
#include <utility>

#include "knit/error.hpp"
#include "knit/io/tcp.hpp"
#include "knit/io/unix.hpp"

namespace knit::detail {

std::size_t bytes_waiting_at(int descriptor) noexcept {
    int count = 0;
    return ioctl(descriptor, FIONREAD, &count) == 0 && count >= 0 ? static_cast<std::size_t>(count) : kBusyBuffer;
}

io::Connection open_streams(StreamCore& core) {
    io::StreamReader reader(ReaderRef::share(core));
    io::StreamWriter writer(StreamCoreRef::share(core));
    core.begin();
    return {std::move(reader), std::move(writer)};
}

}  // namespace knit::detail

namespace knit::io {

using knit::detail::StreamCore;

StreamWriter& StreamWriter::operator=(StreamWriter&& other) noexcept {
    if (this != &other) {
        const StreamWriter old(std::move(core_));
        core_ = std::move(other.core_);
    }
    return *this;
}

StreamWriter::~StreamWriter() {
    if (core_) {
        core_->drop_writer();
    }
}

StreamCore& StreamWriter::core() const {
    if (!core_) {
        throw RuntimeError("there is no StreamWriter: it was moved from");
    }
    return *core_;
}

StreamCore& StreamWriter::writable(const char* function) const {
    core().check_write(function);
    return *core_;
}

void StreamWriter::write(std::string_view data) { writable("write").write(data); }
Coro<> StreamWriter::drain() { return StreamCore::drain(knit::detail::StreamCoreRef::share(core())); }
bool StreamWriter::can_write_eof() const { return core().can_write_eof(); }
void StreamWriter::write_eof() { core().write_eof(); }
void StreamWriter::close() { core().close(); }
bool StreamWriter::is_closing() const { return core().is_closing(); }
Coro<> StreamWriter::wait_closed() { return StreamCore::wait_closed(knit::detail::StreamCoreRef::share(core())); }
void StreamWriter::abort() { core().abort(); }

void StreamWriter::set_write_buffer_limits(std::optional<std::size_t> high, std::optional<std::size_t> low) {
    const std::size_t top = high ? *high : low ? 4 * *low : StreamCore::kHighWater;
    const std::size_t bottom = low ? *low : top / 4;
    if (bottom > top) {
        throw ValueError("high (" + std::to_string(top) + ") must be >= low (" + std::to_string(bottom) +
                         ") must be >= 0");
    }
    core().set_limits(bottom, top);
}

WriteBufferLimits StreamWriter::get_write_buffer_limits() const { return {core().low(), core().high()}; }
std::size_t StreamWriter::get_write_buffer_size() const { return core().unsent(); }
std::any StreamWriter::get_extra_info(std::string_view name) const { return core().extra_info(name); }

Endpoint StreamWriter::endpoint_of(const char* name) const {
    const std::any found = get_extra_info(name);
    const auto* const endpoint = std::any_cast<Endpoint>(&found);
    if (endpoint == nullptr) {
        throw RuntimeError("the stream has no host and port: ask get_extra_info(\"" + std::string(name) + "\")");
    }
    return *endpoint;
}
Endpoint StreamWriter::local_endpoint() const { return endpoint_of("sockname"); }
Endpoint StreamWriter::peer_endpoint() const { return endpoint_of("peername"); }

namespace {

void check_limit(const StreamOptions& options) {
    if (options.limit == 0) {
        throw ValueError("Limit cannot be <= 0");
    }
}

}  // namespace

Coro<Connection> open_connection(Endpoint endpoint, StreamOptions options) {
    return open_connection(std::move(endpoint), options, ConnectOptions());
}

Coro<Connection> open_connection(Endpoint endpoint, StreamOptions options, ConnectOptions connect_options) {
    check_limit(options);
    Coro<TcpStream> connecting = TcpStream::connect(std::move(endpoint), std::move(connect_options));
    TcpStream stream = co_await std::move(connecting);
    co_return make_streams(std::move(stream), options);
}

Coro<Connection> open_unix_connection(std::filesystem::path path, StreamOptions options) {
    check_limit(options);
    Coro<UnixStream> connecting = UnixStream::connect(std::move(path));
    UnixStream stream = co_await std::move(connecting);
    co_return make_streams(std::move(stream), options);
}

}  // namespace knit::io
