/// ClientConnection: one request and its answer on a connection of HTTP/1.1.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client_exchange.hpp"
#include "knit/coro.hpp"
#include "knit/http/detail/chunked.hpp"
#include "knit/http/detail/input.hpp"
#include "session_core.hpp"

namespace knit::http::detail {

class ClientConnection final : public ClientExchange {
public:
    /// To be given back under `key`, on `loop`.
    ClientConnection(std::shared_ptr<SessionCore> session, std::string key, const Loop& loop, ClientTimeout timeout)
        : session_(std::move(session)), key_(std::move(key)), loop_(loop), timeout_(timeout) {}

    void set_transport(std::unique_ptr<Transport> transport, bool is_reused) noexcept {
        transport_ = std::move(transport);
        is_reused_ = is_reused;
    }

    Coro<bool> exchange(std::string head, const std::string& method, const RequestOptions& options) override;
    Coro<> write_chunk(std::string_view bytes) override;
    Coro<std::string_view> read_body() override;
    Coro<> drain() override;

private:
    Coro<> send(std::string head, const RequestOptions& options);
    Coro<> write(std::string_view bytes);
    Coro<bool> read_head(const std::string& method);
    Coro<bool> fill();
    void finish() noexcept;

    static constexpr std::size_t kPiece = 64 << 10;

    std::shared_ptr<SessionCore> session_;
    std::string key_;
    const Loop& loop_;
    ClientTimeout timeout_;
    std::unique_ptr<Transport> transport_;
    Input input_;
    std::string head_text_;
    ChunkedDecoder chunks_;
    std::uint64_t left_ = 0;
    bool is_reused_ = false;
    bool is_done_ = false;
    bool is_cut_ = false;        ///< a write is under way, or was cut off: nothing may be sent behind it
    bool is_refused_ = false;    ///< the server takes no more of the request: it may have answered before
    bool has_interim_ = false;   ///< an interim answer has come
};

/// The connection that `url` is reached by, through `proxy` when there is one. `alpn`: as of secure().
Coro<std::unique_ptr<Transport>> open_transport(Url url, std::optional<Url> proxy, const tls::Context* context,
                                                Duration limit, std::string_view alpn);

}  // namespace knit::http::detail
