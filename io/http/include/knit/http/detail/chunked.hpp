/// ChunkedDecoder: the body of a message in chunks, byte by byte as RFC 9112 7.1 has it and nothing else.
///
/// Not llhttp's: of its callbacks none sees the line of a chunk, and Debian's version lets a bare LF end one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace knit::http::detail {

class ChunkedDecoder {
public:
    /// Takes bytes off `input` up to the end of the first piece of data, which it gives; an empty piece: all was taken,
    /// or the body has ended, or is_bad().
    std::string_view next(std::string_view& input) noexcept;
    /// The body has ended; what follows it is left in the input.
    bool is_done() const noexcept { return state_ == State::done; }
    bool is_bad() const noexcept { return state_ == State::bad; }

private:
    enum class State : std::uint8_t {
        size,         ///< digits, at least one to come
        more_size,    ///< further digits
        extension,    ///< after ';'
        size_lf,      ///< after the CR of the size's line
        data,
        data_cr,
        data_lf,
        trailer,      ///< at the start of a line
        trailer_name,
        trailer_text,
        trailer_lf,
        end_lf,       ///< after the CR of the empty line
        done,
        bad
    };
    void take(char letter) noexcept;
    State after_size(char letter) const noexcept;

    static constexpr std::size_t kExtraMax = 8 << 10;
    static constexpr unsigned kDigitsMax = 15;  ///< more bytes than anybody has, and leading zeros are not endless

    std::uint64_t left_ = 0;   ///< of the chunk
    std::size_t extra_ = 0;    ///< bytes of extensions and trailers so far
    unsigned digits_ = 0;      ///< of the chunk's size
    State state_ = State::size;
};

}  // namespace knit::http::detail
