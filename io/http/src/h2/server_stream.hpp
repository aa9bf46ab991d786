/// H2ServerStream: a server's stream: a request, its handler's task, and the answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "fields.hpp"
#include "knit/coro.hpp"
#include "knit/http/detail/exchange.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/request.hpp"
#include "knit/http/response.hpp"
#include "knit/task.hpp"
#include "stream.hpp"

namespace knit::http::detail {

class H2Server;

/// Deletes itself when the stream is closed and the task has ended, and what that has left reading or writing;
/// whichever is last.
class H2ServerStream final : public H2Stream, public Exchange {
public:
    explicit H2ServerStream(H2Server& server) : H2Stream(server_session(server)), server_(server) {}
    ~H2ServerStream() override { retire(std::move(request_)); }

    void take_field(std::string_view name, std::string_view value) final;
    void end_fields() final;
    void sent_end() noexcept final;
    void closed(std::uint32_t error_code) noexcept final;
    bool is_answered() const noexcept final { return is_answered_; }

    Coro<std::string_view> read_body(std::uint16_t request_number) final;
    Coro<> write_body(std::string_view bytes) final;
    io::Endpoint peer() const final;

private:
    class Running;
    class Using;

    static H2Session& server_session(H2Server& server) noexcept;

    // The head.

    void build_head();
    void cancel_task() noexcept;
    void delete_unless_kept() noexcept;

    // The task.

    static Coro<> run(Running running);
    Coro<> serve();
    Coro<> handle();
    Response error_response(const std::exception_ptr& error);
    void cut_off(const std::exception_ptr& error);
    void report(const std::exception_ptr& error);
    Coro<> answer();
    void build_fields();
    void check_fields();
    void begin_answer(bool has_body);
    Coro<> send_body();
    Coro<> send_file();
    void note() const;
    /// Whether it is this stream's or this connection's end, and not a fault of the handler's.
    bool is_expected(const std::exception_ptr& error) const;
    std::string request_name() const;
    [[noreturn]] void throw_late() final;

    H2Server& server_;
    H2FieldText text_;  ///< of the head; head_ has views of it
    std::string cookies_;
    Head head_;
    std::unique_ptr<Request> request_ = std::make_unique<Request>();
    std::optional<Response> response_;
    TaskRef task_;
    TimePoint began_{};
    std::size_t head_size_ = 0;  ///< as RFC 9113, 6.5.2 counts
    std::uint64_t body_sent_ = 0;
    std::optional<std::uint64_t> body_promised_;
    int use_count_ = 0;  ///< reads and writes under way
    int refusal_ = 0;  ///< the status, instead of a handler's
    bool has_head_ = false;
    bool has_task_ = false;
    bool owes_continue_ = false;
    bool is_answered_ = false;  ///< all of the answer has been given to nghttp2
};

}  // namespace knit::http::detail
