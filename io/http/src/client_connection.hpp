/// ClientConnection: one request and its answer.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/http/detail/chunked.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/detail/input.hpp"
#include "knit/task.hpp"
#include "session_core.hpp"

namespace knit::http::detail {

/// A connection, and what is written to it. Kept by the task that writes: a body may still be on its way when its
/// answer is read, or thrown away.
class Wire {
public:
    explicit Wire(std::unique_ptr<Transport> made) noexcept : transport(std::move(made)) {}

    Coro<> write(std::string_view bytes);
    Coro<> write_chunk(std::string_view bytes);

    std::unique_ptr<Transport> transport;  ///< null once it is given back
    bool is_cut = false;             ///< a write is under way, or was cut off: nothing may be sent behind it
    bool is_sending = true;          ///< the request is not sent as a whole
    TimePoint sent_at{};             ///< then
    std::exception_ptr write_error;  ///< the server takes no more of the request: it may have answered before
    std::exception_ptr body_error;   ///< of the function that makes the body
};

class ClientConnection {
public:
    /// To be given back under `key`, on `loop`.
    ClientConnection(std::shared_ptr<SessionCore> session, std::string key, const Loop& loop, ClientTimeout timeout)
        : session_(std::move(session)), key_(std::move(key)), loop_(loop), timeout_(timeout) {}
    ClientConnection(const ClientConnection&) = delete;
    ClientConnection& operator=(const ClientConnection&) = delete;

    ~ClientConnection();

    void set_transport(std::unique_ptr<Transport> transport, bool is_reused) {
        wire_ = std::make_shared<Wire>(std::move(transport));
        is_reused_ = is_reused;
    }
    void set_permits(Permit first, Permit second) noexcept {
        permit_ = std::move(first);
        host_permit_ = std::move(second);
    }
    void set_deadline(std::optional<TimePoint> deadline) noexcept { deadline_ = deadline; }

    /// Writes the head and the body, and meanwhile reads the answer's head, interim answers passed over. False: a
    /// connection that had been used before was dead, and nothing came; the request may be sent again, as its method
    /// allows.
    Coro<bool> exchange(std::string head, const std::string& method, std::shared_ptr<const RequestOptions> options);
    Coro<std::string_view> read_body();
    /// Reads the rest away when it is little and there, so that the connection may be used again; then gives it back or
    /// closes.
    Coro<> drain();
    const Head& head() const noexcept { return head_; }

private:
    static Coro<> send(std::shared_ptr<Wire> wire, std::string head, std::shared_ptr<const RequestOptions> options);
    static Coro<> send_body(Wire& wire, std::string head, const RequestOptions& options);
    Coro<> end_upload();
    Coro<bool> read_head(const std::string& method);
    Coro<std::string_view> read_piece();
    Coro<> read_away();
    Coro<bool> fill();
    std::optional<TimePoint> read_until() const;
    void finish() noexcept;

    static constexpr std::size_t kPiece = 64 << 10;

    std::shared_ptr<SessionCore> session_;
    std::string key_;
    const Loop& loop_;
    ClientTimeout timeout_;
    std::optional<TimePoint> deadline_;  ///< of the body
    std::shared_ptr<Wire> wire_;  ///< null: gone, or given back
    Task<> upload_;               ///< while a body is sent that takes its time
    Permit permit_;
    Permit host_permit_;
    Input input_;
    std::string head_text_;
    Head head_;
    ChunkedDecoder chunks_;
    std::uint64_t left_ = 0;
    bool is_reused_ = false;
    bool is_done_ = false;
    bool has_interim_ = false;   ///< an interim answer has come
};

/// The connection that `url` is reached by, through `proxy` when there is one.
Coro<std::unique_ptr<Transport>> open_transport(Url url, std::optional<Url> proxy, const tls::Context* context,
                                                Duration limit);

}  // namespace knit::http::detail
