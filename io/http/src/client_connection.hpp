/// ClientConnection: one request and its answer on a connection of HTTP/1.1.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "client_exchange.hpp"
#include "knit/coro.hpp"
#include "knit/http/detail/chunked.hpp"
#include "knit/http/detail/input.hpp"
#include "knit/loop.hpp"
#include "session_core.hpp"

namespace knit::http::detail {

/// A connection, and what is written to it. Kept by the tasks that write: a body may still be on its way when its
/// answer is read, or thrown away. Made on the connection's loop, and all of it is used there.
class Wire final : public RequestSink, public std::enable_shared_from_this<Wire> {
public:
    explicit Wire(std::unique_ptr<Transport> made) noexcept : transport(std::move(made)), loop(get_running_loop()) {}

    Coro<> write(std::string_view bytes);
    Coro<> write_chunk(std::string_view bytes) override;

    std::unique_ptr<Transport> transport;  ///< null once it is given back
    Loop& loop;
    bool is_cut = false;             ///< a write is under way, or was cut off: nothing may be sent behind it
    bool is_sending = true;          ///< the request is not sent as a whole
    TimePoint sent_at{};             ///< then
    std::exception_ptr write_error;  ///< the server takes no more of the request: it may have answered before
    std::exception_ptr body_error;   ///< of the function that makes the body
};

class ClientConnection final : public ClientExchange {
public:
    /// To be given back under `key`, on `loop`.
    ClientConnection(std::shared_ptr<SessionCore> session, std::string key, const Loop& loop, ClientTimeout timeout)
        : session_(std::move(session)), key_(std::move(key)), loop_(loop), timeout_(timeout) {}

    void set_transport(std::unique_ptr<Transport> transport, bool is_reused) {
        wire_ = std::make_shared<Wire>(std::move(transport));
        is_reused_ = is_reused;
    }

    Coro<bool> exchange(std::string head, const std::string& method,
                        std::shared_ptr<const RequestOptions> options) override;
    Coro<std::string_view> read_body() override;
    Coro<> drain() override;

private:
    static Coro<> send(std::shared_ptr<Wire> wire, std::string head, std::shared_ptr<const RequestOptions> options);
    static Coro<> send_body(Wire& wire, std::string head, const RequestOptions& options);
    static Coro<> stream_body(Wire& wire, const RequestOptions& options);
    Coro<bool> read_head(const std::string& method);
    Coro<std::string_view> read_piece();
    Coro<> read_away();
    Coro<bool> fill();
    void finish() noexcept;

    static constexpr std::size_t kPiece = 64 << 10;

    std::shared_ptr<SessionCore> session_;
    std::string key_;
    const Loop& loop_;
    ClientTimeout timeout_;
    std::shared_ptr<Wire> wire_;  ///< null: gone, or given back
    Input input_;
    std::string head_text_;
    ChunkedDecoder chunks_;
    std::uint64_t left_ = 0;
    bool is_reused_ = false;
    bool is_done_ = false;
    bool has_interim_ = false;   ///< an interim answer has come
};

/// The connection that `url` is reached by, through `proxy` when there is one. `alpn`: as of secure().
Coro<std::unique_ptr<Transport>> open_transport(Url url, std::optional<Url> proxy, const tls::Context* context,
                                                Duration limit, std::string_view alpn);

}  // namespace knit::http::detail
