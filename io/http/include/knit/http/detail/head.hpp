/// The head of a message: finding its end, and reading it.
///
/// Every line is looked at before llhttp sees it, because what RFC 9112 lets a recipient forgive (a bare LF, a folded
/// line, a blank before the colon, a second length) is what two recipients read differently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "knit/http/fields.hpp"

namespace knit::http::detail {

struct HeadLimits {
    std::size_t line_max = 8 << 10;   ///< of the first line
    std::size_t size_max = 16 << 10;  ///< of all of it
    std::size_t count_max = 100;      ///< of fields
};

/// Looks for the end of a head that arrives in pieces.
class HeadScan {
public:
    /// 0: more is needed; 200: the head is there, size() long; 400, 414 or 431: it is refused. `bytes` begins where it
    /// began before and is never shorter.
    int scan(std::string_view bytes, const HeadLimits& limits) noexcept;
    /// Where the first line begins: empty lines before it are passed over.
    std::size_t begin() const noexcept { return begin_; }
    /// From the first byte of all to the end of the empty line.
    std::size_t size() const noexcept { return line_; }
    void reset() noexcept { *this = HeadScan(); }

private:
    int take_line(std::string_view line, const HeadLimits& limits) noexcept;

    std::size_t begin_ = 0;
    std::size_t line_ = 0;   ///< where the present line begins
    std::size_t seen_ = 0;   ///< bytes that have no LF behind line_
    std::size_t count_ = 0;  ///< of lines, the first included
    bool is_complete_ = false;
};

/// How a body is delimited.
enum class Framing : std::uint8_t { none, sized, chunked, until_close };

/// A head that has been read. The texts belong to the bytes that were given.
struct Head {
    std::string_view method;
    std::string_view target;
    Fields fields;
    std::uint64_t length = 0;  ///< of a body that is sized
    int status = 0;            ///< of an answer
    Framing framing = Framing::none;
    bool is_http10 = false;
    bool is_http2 = false;
    bool keeps_alive = false;
    bool expects_continue = false;
    bool wants_upgrade = false;
};

/// Reads the complete head of a request: 200, or the status that refuses it: 400, 501, 505. `head` is overwritten; its
/// memory is used again.
int read_request_head(std::string_view bytes, Head& head);
/// Reads that of an answer; false when it is none. `method` is that of the request, which decides on the body.
bool read_response_head(std::string_view bytes, std::string_view method, Head& head);

}  // namespace knit::http::detail
