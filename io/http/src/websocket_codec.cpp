#include "websocket_codec.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

#include "knit/detail/base.hpp"

namespace knit::http::detail {
namespace {

constexpr unsigned kFin = 0x80;
constexpr unsigned kCompressed = 0x40;  // RSV1
constexpr unsigned kReserved = 0x30;
constexpr unsigned kMasked = 0x80;
constexpr std::size_t kControlMax = 125;
constexpr std::size_t kHeadMax = 14;
constexpr std::size_t kIdleInput = std::size_t{4} << 10;
constexpr std::size_t kBusyInput = std::size_t{64} << 10;
// Below this, compression costs more than it saves.
constexpr std::size_t kWorthCompressing = 64;

[[noreturn]] void refuse(const char* what) { throw WebSocketError(1002, what); }

bool is_control(int opcode) noexcept { return opcode >= kClose; }

std::uint64_t big_endian(std::span<const unsigned char> bytes) noexcept {
    std::uint64_t value = 0;
    for (const unsigned char byte : bytes) {
        value = value << 8 | byte;
    }
    return value;
}

/// `place`: which byte of the mask is the first one's.
void apply_mask(unsigned char* bytes, std::size_t size, const std::array<unsigned char, 4>& mask, std::size_t place) {
    std::array<unsigned char, 8> turned;
    for (std::size_t i = 0; i < turned.size(); ++i) {
        turned[i] = mask[(place + i) % 4];
    }
    std::uint64_t word_mask = 0;
    std::memcpy(&word_mask, turned.data(), sizeof word_mask);
    std::size_t done = 0;
    for (; done + 8 <= size; done += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + done, sizeof word);
        word ^= word_mask;
        std::memcpy(bytes + done, &word, sizeof word);
    }
    for (; done < size; ++done) {
        bytes[done] ^= turned[done % 8];
    }
}

}  // namespace

bool is_close_code(int code) noexcept {
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

// The network's side.

std::span<std::byte> WebSocketCodec::input_space() {
    const std::size_t kept = end_ - begin_;  // of a head that has not come as a whole
    if (wants_much_ ? input_size_ < kBusyInput : input_size_ != kIdleInput) {
        make_room(wants_much_ ? kBusyInput : kIdleInput);
    } else if (begin_ != 0) {
        std::memmove(input_.get(), input_.get() + begin_, kept);
        begin_ = 0;
        end_ = kept;
    }
    return std::as_writable_bytes(std::span(input_.get(), input_size_)).subspan(end_);
}

void WebSocketCodec::take_input(std::size_t count) noexcept {
    end_ += count;
    // Grows by a read that fills all, shrinks by one that would have found room in the small one.
    wants_much_ = end_ == input_size_ || (wants_much_ && count > kIdleInput / 2);
}

void WebSocketCodec::take_input(std::string_view bytes) {
    if (bytes.empty()) {
        return;
    }
    make_room(std::max(kIdleInput, end_ - begin_ + bytes.size()));
    bytes.copy(reinterpret_cast<char*>(input_.get() + end_), bytes.size());
    end_ += bytes.size();
}

/// Moves what is unread to a buffer of its own.
void WebSocketCodec::make_room(std::size_t size) {
    const std::span<const unsigned char> kept = unread();
    KNIT_ASSERT(kept.size() < size);
    std::unique_ptr<unsigned char[]> room(new unsigned char[size]);  // make_unique would fill it with zeros
    std::copy(kept.begin(), kept.end(), room.get());
    end_ = kept.size();
    begin_ = 0;
    input_ = std::move(room);
    input_size_ = size;
}

// Reading.

std::optional<WebSocketEvent> WebSocketCodec::next() {
    for (;;) {
        if (!is_in_payload_ && !read_head()) {
            return std::nullopt;
        }
        take_payload();
        if (frame_.left != 0) {
            return std::nullopt;
        }
        is_in_payload_ = false;
        std::optional<WebSocketEvent> event = end_frame();
        if (event) {
            return event;
        }
    }
}

/// False: there is less than a whole one.
bool WebSocketCodec::read_head() {
    const std::span<const unsigned char> bytes = unread();
    if (bytes.size() < 2) {
        return false;
    }
    const unsigned first = bytes[0];
    const bool is_masked = (bytes[1] & kMasked) != 0;
    std::uint64_t size = bytes[1] & ~kMasked;
    const std::size_t length_size = size == 126 ? 2 : size == 127 ? 8 : 0;
    const std::size_t head_size = 2 + length_size + (is_masked ? 4 : 0);
    if (length_size == 0 || (first & 0x0f) >= kClose) {
        check_head(first, is_masked, size);  // does not wait for the rest of what is wrong already
    }
    if (bytes.size() < head_size) {
        return false;
    }
    if (length_size != 0) {
        size = big_endian(bytes.subspan(2, length_size));
        if (size < (length_size == 2 ? 126U : 65536U) || size >> 63 != 0) {
            refuse("a length that is not in its shortest form");
        }
    }
    check_head(first, is_masked, size);
    if (is_masked) {
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(2 + length_size), 4, frame_.mask.begin());
    }
    begin_ += head_size;
    begin_frame(first, size);
    return true;
}

void WebSocketCodec::check_head(unsigned first, bool is_masked, std::uint64_t size) const {
    const int opcode = static_cast<int>(first & 0x0f);
    const bool is_data = opcode == kText || opcode == kBinary;
    if (!is_data && opcode != kContinuation && (opcode < kClose || opcode > kPong)) {
        refuse("a frame of an unknown kind");
    }
    if ((first & kReserved) != 0 || ((first & kCompressed) != 0 && (!deflate_ || !is_data))) {
        refuse("a reserved bit is set");
    }
    if (is_masked != is_server_) {
        refuse(is_server_ ? "a client's frame without a mask" : "a server's frame with a mask");
    }
    if (is_control(opcode)) {
        if ((first & kFin) == 0 || size > kControlMax) {
            refuse("a control frame in parts, or of more than 125 bytes");
        }
        return;
    }
    if (is_data == (message_opcode_ != 0)) {
        refuse(is_data ? "a message within another" : "a continuation of nothing");
    }
    const std::uint64_t before = is_data ? 0 : raw_size_;
    if (size > message_max_ || before > message_max_ - size) {
        throw WebSocketError(1009, "a message of more than " + std::to_string(message_max_) + " bytes");
    }
}

void WebSocketCodec::begin_frame(unsigned first, std::uint64_t size) {
    frame_.left = size;
    frame_.mask_place = 0;
    frame_.opcode = static_cast<int>(first & 0x0f);
    frame_.is_last = (first & kFin) != 0;
    is_in_payload_ = true;
    if (is_control(frame_.opcode)) {
        control_.clear();
        return;
    }
    if (frame_.opcode != kContinuation) {
        message_opcode_ = frame_.opcode;
        is_message_compressed_ = (first & kCompressed) != 0;
        raw_size_ = 0;
        message_.clear();
        utf8_.reset();
    }
    raw_size_ += size;
}

void WebSocketCodec::take_payload() {
    const std::size_t count = std::min<std::uint64_t>(frame_.left, end_ - begin_);
    unsigned char* const bytes = input_.get() + begin_;
    if (is_server_) {
        apply_mask(bytes, count, frame_.mask, frame_.mask_place);
        frame_.mask_place = (frame_.mask_place + count) % 4;
    }
    begin_ += count;
    frame_.left -= count;
    const std::string_view piece(reinterpret_cast<const char*>(bytes), count);
    if (is_control(frame_.opcode)) {
        control_.append(piece);
    } else {
        take_data(piece);
    }
}

void WebSocketCodec::take_data(std::string_view piece) {
    const std::size_t before = message_.size();
    if (is_message_compressed_) {
        if (inflater_ == nullptr) {
            const bool keeps =
                !(is_server_ ? deflate_->client_no_context_takeover : deflate_->server_no_context_takeover);
            inflater_ = std::make_unique<Inflater>(is_server_ ? deflate_->client_bits : deflate_->server_bits, keeps);
        }
        check_outcome(inflater_->take(piece, message_, message_max_));
    } else {
        message_.append(piece);
    }
    if (message_opcode_ == kText && !utf8_.take(std::string_view(message_).substr(before))) {
        throw WebSocketError(1007, "a text that is not UTF-8");
    }
}

void WebSocketCodec::check_outcome(Inflater::Outcome outcome) const {
    switch (outcome) {
        case Inflater::Outcome::good: return;
        case Inflater::Outcome::broken: throw WebSocketError(1007, "a compressed message that is broken");
        case Inflater::Outcome::too_long:
            throw WebSocketError(1009, "a message of more than " + std::to_string(message_max_) + " bytes");
    }
}

std::optional<WebSocketEvent> WebSocketCodec::end_frame() {
    if (is_control(frame_.opcode)) {
        return read_control();
    }
    if (!frame_.is_last) {
        return std::nullopt;
    }
    return end_message();
}

WebSocketEvent WebSocketCodec::end_message() {
    if (is_message_compressed_) {
        const std::size_t before = message_.size();
        check_outcome(inflater_->finish(message_, message_max_));
        if (message_opcode_ == kText && !utf8_.take(std::string_view(message_).substr(before))) {
            throw WebSocketError(1007, "a text that is not UTF-8");
        }
    }
    if (message_opcode_ == kText && !utf8_.is_whole()) {
        throw WebSocketError(1007, "a text that ends within a character");
    }
    WebSocketEvent event;
    event.opcode = std::exchange(message_opcode_, 0);
    event.data = std::move(message_);
    message_.clear();
    return event;
}

WebSocketEvent WebSocketCodec::read_control() {
    WebSocketEvent event;
    event.opcode = frame_.opcode;
    if (frame_.opcode != kClose) {
        event.data = std::move(control_);
        return event;
    }
    event.code = 1005;
    if (!control_.empty()) {
        const auto* const bytes = reinterpret_cast<const unsigned char*>(control_.data());
        event.code = control_.size() == 1 ? 0 : static_cast<int>(big_endian({bytes, 2}));
        if (!is_close_code(event.code)) {
            refuse("a close frame with a code that cannot be");
        }
        event.data = control_.substr(2);
        if (!is_utf8(event.data)) {
            throw WebSocketError(1007, "a close frame whose reason is not UTF-8");
        }
    }
    return event;
}

// Writing.

void WebSocketCodec::put(int opcode, std::string_view bytes, std::string& output) {
    unsigned first = kFin | static_cast<unsigned>(opcode);
    const std::array<unsigned char, 4> mask = is_server_ ? std::array<unsigned char, 4>() : next_mask();
    std::string compressed;
    try {
        if (deflate_ && !is_control(opcode) && bytes.size() >= kWorthCompressing) {
            compressed = compress(bytes);
            bytes = compressed;
            first |= kCompressed;
        }
        output.reserve(output.size() + kHeadMax + bytes.size());
    } catch (...) {
        deflater_.reset();  // a new one does not refer to what the peer has never got
        throw;
    }
    put_head(first, bytes.size(), output);
    if (is_server_) {
        output.append(bytes);
        return;
    }
    output.append(reinterpret_cast<const char*>(mask.data()), mask.size());
    const std::size_t before = output.size();
    output.append(bytes);
    apply_mask(reinterpret_cast<unsigned char*>(output.data() + before), bytes.size(), mask, 0);
}

std::string WebSocketCodec::compress(std::string_view bytes) {
    if (deflater_ == nullptr) {
        const bool keeps = !(is_server_ ? deflate_->server_no_context_takeover : deflate_->client_no_context_takeover);
        deflater_ = std::make_unique<Deflater>(is_server_ ? deflate_->server_bits : deflate_->client_bits, keeps);
    }
    return deflater_->compress(bytes);
}

void WebSocketCodec::put_head(unsigned first, std::size_t size, std::string& output) {
    const unsigned masked = is_server_ ? 0 : kMasked;
    output += static_cast<char>(first);
    const int length_size = size < 126 ? 0 : size < 65536 ? 2 : 8;
    output += static_cast<char>(masked | (length_size == 0 ? size : length_size == 2 ? 126U : 127U));
    for (int shift = 8 * (length_size - 1); shift >= 0; shift -= 8) {
        output += static_cast<char>(size >> shift);
    }
}

void WebSocketCodec::put_close(int code, std::string_view reason, std::string& output) {
    std::string payload;
    if (code != 1005) {
        payload = {static_cast<char>(code >> 8), static_cast<char>(code)};
        payload += reason;
    }
    put(kClose, payload, output);
}

/// Not to be foreseen, lest a page make a client send what looks like another protocol (RFC 6455, 10.3).
std::array<unsigned char, 4> WebSocketCodec::next_mask() {
    if (mask_used_ == masks_.size()) {
        if (getentropy(masks_.data(), masks_.size()) != 0) {
            throw std::system_error(errno, std::generic_category(), "getentropy");
        }
        mask_used_ = 0;
    }
    std::array<unsigned char, 4> mask;
    std::copy_n(masks_.begin() + static_cast<std::ptrdiff_t>(mask_used_), 4, mask.begin());
    mask_used_ += 4;
    return mask;
}

}  // namespace knit::http::detail
