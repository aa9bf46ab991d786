/// ByteRange: what is taken as bytes, besides spans of std::byte and text.
#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <type_traits>

namespace knit::detail {

template <class T>
concept ByteLike = std::same_as<std::remove_cv_t<T>, char> || std::same_as<std::remove_cv_t<T>, unsigned char> ||
                   std::same_as<std::remove_cv_t<T>, std::byte>;

/// A char array is text up to its NUL: string_view takes it.
template <class R>
concept ByteRange = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
                    ByteLike<std::ranges::range_value_t<R>> &&
                    !(std::is_array_v<R> && std::same_as<std::remove_cv_t<std::ranges::range_value_t<R>>, char>);

template <ByteRange R>
std::span<const std::byte> bytes_of(const R& range) noexcept {
    return std::as_bytes(std::span(std::ranges::data(range), std::ranges::size(range)));
}

}  // namespace knit::detail
