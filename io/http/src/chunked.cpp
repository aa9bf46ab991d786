#include "knit/http/detail/chunked.hpp"

#include <algorithm>

#include "text.hpp"

namespace knit::http::detail {

std::string_view ChunkedDecoder::next(std::string_view& input) noexcept {
    while (!input.empty() && state_ != State::done && state_ != State::bad) {
        if (state_ == State::data) {
            const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
            const std::string_view piece = input.substr(0, size);
            input.remove_prefix(size);
            left_ -= size;
            state_ = left_ == 0 ? State::data_cr : State::data;
            return piece;
        }
        take(input.front());
        input.remove_prefix(1);
    }
    return {};
}

ChunkedDecoder::State ChunkedDecoder::after_size(char letter) const noexcept {
    return letter == '\r' ? State::size_lf : letter == ';' ? State::extension : State::bad;
}

void ChunkedDecoder::take(char letter) noexcept {
    const bool is_text = is_blank(letter) || static_cast<unsigned char>(letter) > 0x20;
    const bool is_extra = state_ == State::extension || (state_ >= State::trailer && state_ <= State::trailer_lf);
    extra_ += is_extra ? 1 : 0;
    if (extra_ > kExtraMax || letter == 0x7f) {
        state_ = State::bad;
        return;
    }
    switch (state_) {
    case State::size:
    case State::more_size: {
        const int digit = hex_value(letter);
        if (digit < 0) {
            state_ = state_ == State::size ? State::bad : after_size(letter);
        } else {
            digits_ = state_ == State::size ? 1 : digits_ + 1;
            left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
            state_ = digits_ > kDigitsMax ? State::bad : State::more_size;
        }
        break;
    }
    case State::extension:
        state_ = letter == '\r' ? State::size_lf : is_text ? State::extension : State::bad;
        break;
    case State::size_lf:
        state_ = letter != '\n' ? State::bad : left_ == 0 ? State::trailer : State::data;
        break;
    case State::data_cr:
        state_ = letter == '\r' ? State::data_lf : State::bad;
        break;
    case State::data_lf:
        state_ = letter == '\n' ? State::size : State::bad;
        break;
    case State::trailer:
        state_ = letter == '\r' ? State::end_lf : kToken.has(letter) ? State::trailer_name : State::bad;
        break;
    case State::trailer_name:
        state_ = letter == ':' ? State::trailer_text : kToken.has(letter) ? State::trailer_name : State::bad;
        break;
    case State::trailer_text:
        state_ = letter == '\r' ? State::trailer_lf : is_text ? State::trailer_text : State::bad;
        break;
    case State::trailer_lf:
        state_ = letter == '\n' ? State::trailer : State::bad;
        break;
    case State::end_lf:
        state_ = letter == '\n' ? State::done : State::bad;
        break;
    case State::data:
    case State::done:
    case State::bad:
        break;
    }
}

}  // namespace knit::http::detail
