/// Response: what a handler returns.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/http/detail/exchange.hpp"
#include "knit/io/file.hpp"

namespace knit::http {

namespace detail {
class ConnectionBase;
class H2ServerStream;
struct Upgraded;
}  // namespace detail

/// Where the body of a streamed answer goes. Copies are handles to one answer, which ends with the function that was
/// given to Response::stream(): writes throw ECANCELED from then on. A write that is under way at that end is an error,
/// and cuts the answer off.
class BodyWriter {
public:
    /// knit's own use.
    explicit BodyWriter(std::shared_ptr<detail::BodySink> sink) noexcept : sink_(std::move(sink)) {}
    /// Sends the bytes, which have to stay until the await is over (those of a std::string that is moved in are kept);
    /// waits while the peer takes no more. From any loop; resumes on that of the connection.
    /// std::system_error when the peer has gone or takes nothing for write_timeout. Cancelled: CancelledError, and the
    /// answer is cut off. One task at a time: RuntimeError.
    Coro<> write(std::string_view bytes) { return detail::write_body(sink_, bytes); }
    template <std::same_as<std::string> T>
    Coro<> write(T&& bytes) {
        return detail::write_body_owned(sink_, std::move(bytes));
    }
    template <std::size_t N>
    Coro<> write(char (&buffer)[N]) = delete;  // say string_view(buffer, size)

private:
    std::shared_ptr<detail::BodySink> sink_;
};

/// The connection after a change of protocol (status 101): a ByteStream, so make_streams() takes it too. Copies are
/// handles to one connection, which ends with the function that was given to Response::upgrade(): calls throw ECANCELED
/// from then on. A call goes on on the connection's loop, wherever it was made.
class UpgradedStream {
public:
    /// knit's own use.
    explicit UpgradedStream(std::shared_ptr<detail::Upgraded> upgraded) noexcept : upgraded_(std::move(upgraded)) {}
    /// Cancelled: CancelledError, and nothing is lost.
    Coro<std::size_t> read_some(std::span<std::byte> buffer);
    /// Cancelled: CancelledError, and nothing can be written any more.
    Coro<> write(std::span<const std::byte> bytes);
    Coro<> shutdown();
    /// On the connection's loop.
    void close() noexcept;
    io::Endpoint peer_endpoint() const;
    /// `tell` is called once, on the connection's loop, when the server closes: at once if it has. On that loop. What
    /// it throws goes to the loop's exception handler.
    void when_closing(std::function<void()> tell) const;

private:
    std::shared_ptr<detail::Upgraded> upgraded_;
};

/// An answer: status, header fields, and a body that is text, a file, or made while it is sent. Move-only. Calls may be
/// chained:
///     co_return http::Response::text("made").status(201).header("Location", "/users/7");
class Response {
public:
    using Producer = std::function<Coro<>(BodyWriter&)>;
    using Upgrade = std::function<Coro<>(UpgradedStream)>;

    /// ValueError for a status outside of 200 to 599.
    explicit Response(int status = 200, std::string body = {});
    static Response text(std::string body) { return typed("text/plain; charset=utf-8", std::move(body)); }
    static Response html(std::string body) { return typed("text/html; charset=utf-8", std::move(body)); }
    /// `body` is JSON already: knit has no JSON library of its own.
    static Response json(std::string body) { return typed("application/json", std::move(body)); }
    /// Bytes that outlive the answer, as a literal does, and are not copied.
    static Response literal(std::string_view body);
    static Response literal(std::string_view body, std::string_view content_type);
    template <std::same_as<std::string> T>
    static Response literal(T&& body) = delete;  // Response::text() keeps a string
    template <std::same_as<std::string> T>
    static Response literal(T&& body, std::string_view content_type) = delete;  // likewise
    /// `produce` is called when the head has been sent, and writes the body: in chunks, or bare and to the end of the
    /// connection for HTTP/1.0. The handler has ended by then: what `produce` captures of it, it captures by value (the
    /// request itself is still there). An error in it, or a write that was cancelled, cuts the connection off, so that
    /// the peer sees that something is missing (for HTTP/1.0: by a reset). `length`: the body's, when it is known,
    /// instead of chunks.
    static Response stream(Producer produce, std::optional<std::uint64_t> length = {});
    /// `count` bytes of the file from `offset` on.
    static Response file(io::File file, std::uint64_t offset, std::uint64_t count);
    /// Status 101: `run` gets the bare connection, which ends with it. The handler has ended by then, and the request's
    /// texts are gone: what `run` captures, it captures by value. Further fields (Upgrade, Sec-WebSocket-Accept)
    /// by header(). A request that did not ask for a change is answered with 426 instead, one whose body was not read
    /// with 400.
    static Response upgrade(Upgrade run);

    Response& status(int status) &;
    Response&& status(int status) && { return std::move(this->status(status)); }
    /// Adds a field. ValueError for a name or value that cannot be one (a line's end, say), and for what the server
    /// says itself: Content-Length, Transfer-Encoding, Connection. A Content-Type takes the place of the one before.
    Response& header(std::string_view name, std::string_view value) &;
    Response&& header(std::string_view name, std::string_view value) && { return std::move(header(name, value)); }
    Response& content_type(std::string type) &;
    Response&& content_type(std::string type) && { return std::move(content_type(std::move(type))); }
    /// Adds Set-Cookie; `attributes` as they are to stand there: "Path=/; HttpOnly". ValueError.
    Response& cookie(std::string_view name, std::string_view value, std::string_view attributes = "Path=/") &;
    Response&& cookie(std::string_view name, std::string_view value, std::string_view attributes = "Path=/") && {
        return std::move(cookie(name, value, attributes));
    }
    /// The connection ends after this answer; one of HTTP/2 with those that are under way.
    Response& close() & noexcept;
    Response&& close() && noexcept { return std::move(close()); }

    int status() const noexcept { return status_; }
    const std::string& body() const noexcept { return body_; }

private:
    friend class detail::ConnectionBase;
    friend class detail::H2ServerStream;

    /// What few answers have.
    struct Extra {
        Producer produce;
        Upgrade upgrade;
        std::optional<std::uint64_t> length;
        io::File file;
        std::uint64_t offset = 0;
    };

    static Response typed(std::string_view type, std::string body);
    std::string_view content() const noexcept { return literal_.empty() ? std::string_view(body_) : literal_; }

    int status_ = 200;
    bool closes_ = false;
    bool has_date_ = false;
    std::string_view type_;     ///< of static storage; empty: none, or it stands in fields_
    std::string_view literal_;  ///< a body that is not body_
    std::string body_;
    std::string fields_;  ///< as they are sent
    std::unique_ptr<Extra> extra_;
};

}  // namespace knit::http
