/// WebSocketCodec: frames to messages and back, without a connection. RFC 6455 5, RFC 7692 7.
///
/// Every rule of the frames is checked here; WebSocketError has the code that the peer is to be told.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "deflate.hpp"
#include "knit/http/detail/websocket_core.hpp"
#include "utf8.hpp"

namespace knit::http::detail {

enum Opcode : int { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

struct WebSocketEvent {
    int opcode = kClose;  ///< not kContinuation
    std::string data;     ///< of a close the reason
    int code = 0;         ///< of a close; 1005 for none
};

/// A limit of the options, as with_timeout() takes it: zero is none.
inline std::optional<Duration> limit_of(Duration limit) noexcept {
    return limit > Duration::zero() ? std::optional(limit) : std::nullopt;
}

/// Whether a close frame may have it.
bool is_close_code(int code) noexcept;

class WebSocketCodec {
public:
    WebSocketCodec(bool is_server, std::size_t message_max, const std::optional<DeflateParameters>& deflate)
        : is_server_(is_server), message_max_(message_max), deflate_(deflate) {}

    /// Where the next bytes from the network go, and that they have come.
    std::span<std::byte> input_space();
    void take_input(std::size_t count) noexcept;
    void take_input(std::string_view bytes);

    /// A message, or a control frame; none: wants input.
    std::optional<WebSocketEvent> next();

    /// Adds a message or a control frame to `output`, all of it or, when it throws, nothing.
    void put(int opcode, std::string_view bytes, std::string& output);
    void put_close(int code, std::string_view reason, std::string& output);

    bool is_compressed() const noexcept { return deflate_.has_value(); }

private:
    struct Frame {
        std::uint64_t left = 0;  ///< bytes of the payload that are to come
        std::array<unsigned char, 4> mask{};
        std::size_t mask_place = 0;
        int opcode = 0;
        bool is_last = false;
    };

    bool read_head();
    void check_head(unsigned first, bool is_masked, std::uint64_t size) const;
    void begin_frame(unsigned first, std::uint64_t size);
    void take_payload();
    void take_data(std::string_view piece);
    std::optional<WebSocketEvent> end_frame();
    WebSocketEvent end_message();
    WebSocketEvent read_control();
    void check_outcome(Inflater::Outcome outcome) const;
    void put_head(unsigned first, std::size_t size, std::string& output);
    std::string compress(std::string_view bytes);
    std::array<unsigned char, 4> next_mask();
    void make_room(std::size_t size);
    std::span<const unsigned char> unread() const noexcept { return {input_.get() + begin_, end_ - begin_}; }

    const bool is_server_;
    const std::size_t message_max_;
    const std::optional<DeflateParameters> deflate_;
    std::unique_ptr<Deflater> deflater_;
    std::unique_ptr<Inflater> inflater_;
    std::unique_ptr<unsigned char[]> input_;
    std::size_t input_size_ = 0;
    std::size_t begin_ = 0;  ///< of what is unread
    std::size_t end_ = 0;
    Frame frame_;
    std::string message_;
    std::string control_;
    Utf8Check utf8_;
    std::uint64_t raw_size_ = 0;  ///< of the message, as it came
    int message_opcode_ = 0;      ///< 0: between two messages
    bool is_message_compressed_ = false;
    bool is_in_payload_ = false;
    bool wants_much_ = false;  ///< a read has filled all there was
    std::array<unsigned char, 256> masks_{};
    std::size_t mask_used_ = sizeof masks_;
};

}  // namespace knit::http::detail
