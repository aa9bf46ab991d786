#include "deflate.hpp"

#include <algorithm>
#include <array>
#include <new>

namespace knit::http::detail {
namespace {

// What ends a flush, which is left out on the wire.
constexpr std::string_view kTail("\0\0\xff\xff", 4);
constexpr std::size_t kPiece = std::size_t{16} << 10;
constexpr int kMemoryLevel = 8;
// What inflate() adds to data_type when it stops between two blocks.
constexpr int kBlockEnd = 128;

void set_input(z_stream& stream, std::string_view bytes) noexcept {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
}

}  // namespace

Deflater::Deflater(int window_bits, bool keeps_context) : keeps_context_(keeps_context) {
    if (deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -window_bits, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        throw std::bad_alloc();
    }
}

Deflater::~Deflater() { deflateEnd(&stream_); }

std::string Deflater::compress(std::string_view message) {
    std::string out;
    std::size_t size = 0;
    // Its count of input has 32 bits.
    constexpr std::size_t kInputMax = std::size_t{1} << 30;
    do {
        const std::string_view piece = message.substr(0, kInputMax);
        message.remove_prefix(piece.size());
        set_input(stream_, piece);
        do {
            out.resize(size + std::max<std::size_t>(kPiece, std::min<std::size_t>(size, kInputMax)));
            stream_.next_out = reinterpret_cast<Bytef*>(out.data() + size);
            const uInt room = static_cast<uInt>(out.size() - size);
            stream_.avail_out = room;
            deflate(&stream_, message.empty() ? Z_SYNC_FLUSH : Z_NO_FLUSH);
            size += room - stream_.avail_out;
        } while (stream_.avail_out == 0);
    } while (!message.empty());
    out.resize(size);
    if (std::string_view(out).ends_with(kTail)) {
        out.resize(size - kTail.size());
    }
    if (!keeps_context_) {
        deflateReset(&stream_);
    }
    return out;
}

Inflater::Inflater(int window_bits, bool keeps_context) : keeps_context_(keeps_context) {
    if (inflateInit2(&stream_, -window_bits) != Z_OK) {
        throw std::bad_alloc();
    }
}

Inflater::~Inflater() { inflateEnd(&stream_); }

Inflater::Outcome Inflater::take(std::string_view piece, std::string& text, std::size_t size_max) {
    std::array<char, kPiece> buffer;
    set_input(stream_, piece);
    bool is_full = true;
    while (stream_.avail_in != 0 || is_full) {
        stream_.next_out = reinterpret_cast<Bytef*>(buffer.data());
        stream_.avail_out = static_cast<uInt>(buffer.size());
        const int result = inflate(&stream_, Z_SYNC_FLUSH);
        const std::size_t count = buffer.size() - stream_.avail_out;
        is_full = stream_.avail_out == 0;
        // First, so that what is both is told alike wherever its bytes were cut.
        if (count > size_max - text.size()) {
            return Outcome::too_long;
        }
        if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END) {
            return Outcome::broken;
        }
        text.append(buffer.data(), count);
        if (result == Z_STREAM_END) {
            inflateReset(&stream_);  // a last block may be followed by more
        } else if (result == Z_BUF_ERROR) {
            break;  // wants more input
        }
    }
    return Outcome::good;
}

Inflater::Outcome Inflater::finish(std::string& text, std::size_t size_max) {
    Outcome outcome = take(kTail, text, size_max);
    if (outcome == Outcome::good && (stream_.data_type & kBlockEnd) == 0) {
        outcome = Outcome::broken;  // it stops in the middle of a block
    }
    if (!keeps_context_) {
        inflateReset(&stream_);
    }
    return outcome;
}

}  // namespace knit::http::detail
