/// Deflater, Inflater: permessage-deflate's compression (RFC 7692, 7.2), on zlib.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <zlib.h>

namespace knit::http::detail {

/// Compresses whole messages.
class Deflater {
public:
    /// std::bad_alloc.
    Deflater(int window_bits, bool keeps_context);
    Deflater(const Deflater&) = delete;
    Deflater& operator=(const Deflater&) = delete;
    ~Deflater();

    std::string compress(std::string_view message);

private:
    z_stream stream_{};
    const bool keeps_context_;
};

/// Takes messages apart that come in pieces.
class Inflater {
public:
    enum class Outcome { good, broken, too_long };

    /// std::bad_alloc.
    Inflater(int window_bits, bool keeps_context);
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    ~Inflater();

    /// Adds to `text`, which does not get longer than `size_max`.
    Outcome take(std::string_view piece, std::string& text, std::size_t size_max);
    /// The message has ended.
    Outcome finish(std::string& text, std::size_t size_max);

private:
    z_stream stream_{};
    const bool keeps_context_;
};

}  // namespace knit::http::detail
