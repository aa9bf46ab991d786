/// ClientConnection: one request and its answer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "knit/coro.hpp"
#include "knit/http/detail/chunked.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/detail/input.hpp"
#include "session_core.hpp"

namespace knit::http::detail {

class ClientConnection {
public:
    /// To be given back under `key`, on `loop`.
    ClientConnection(std::shared_ptr<SessionCore> session, std::string key, const Loop& loop, ClientTimeout timeout)
        : session_(std::move(session)), key_(std::move(key)), loop_(loop), timeout_(timeout) {}
    ClientConnection(const ClientConnection&) = delete;
    ClientConnection& operator=(const ClientConnection&) = delete;

    void set_transport(std::unique_ptr<Transport> transport, bool is_reused) noexcept {
        transport_ = std::move(transport);
        is_reused_ = is_reused;
    }
    void set_permits(Permit first, Permit second) noexcept {
        permit_ = std::move(first);
        host_permit_ = std::move(second);
    }
    void set_deadline(std::optional<TimePoint> deadline) noexcept { deadline_ = deadline; }

    /// Writes the head and the body, then reads the answer's head, interim answers passed over. False: a connection
    /// that had been used before was dead, and nothing came; the request may be sent again, as its method allows.
    Coro<bool> exchange(std::string head, const std::string& method, const RequestOptions& options);
    Coro<> write_chunk(std::string_view bytes);
    Coro<std::string_view> read_body();
    /// Reads the rest away when it is little, so that the connection may be used again; then gives it back or closes.
    Coro<> drain();
    const Head& head() const noexcept { return head_; }

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
    std::optional<TimePoint> deadline_;  ///< of the body
    std::unique_ptr<Transport> transport_;
    Permit permit_;
    Permit host_permit_;
    Input input_;
    std::string head_text_;
    Head head_;
    ChunkedDecoder chunks_;
    std::uint64_t left_ = 0;
    bool is_reused_ = false;
    bool is_done_ = false;
    bool is_cut_ = false;        ///< a write is under way, or was cut off: nothing may be sent behind it
    bool is_refused_ = false;    ///< the server takes no more of the request: it may have answered before
    bool has_interim_ = false;   ///< an interim answer has come
};

/// The connection that `url` is reached by, through `proxy` when there is one.
Coro<std::unique_ptr<Transport>> open_transport(Url url, std::optional<Url> proxy, const tls::Context* context,
                                                Duration limit);

}  // namespace knit::http::detail
