/// kIsCopyable: whether a value can be copied, its elements included.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace knit {

template <class T>
class Result;

namespace detail {

template <class T>
concept HoldsOtherValues = requires {
    typename T::value_type;
    typename T::allocator_type;
} && !std::is_same_v<typename T::value_type, T>;

/// std::is_copy_constructible takes the word of a std::vector, which says yes whatever its elements are. What is
/// wrapped in a class of the user's cannot be seen: there the class has to say that it cannot be copied.
template <class T>
inline constexpr bool kIsCopyable = std::is_copy_constructible_v<T>;
template <HoldsOtherValues T>
inline constexpr bool kIsCopyable<T> = std::is_copy_constructible_v<T> && kIsCopyable<typename T::value_type>;
template <class T>
inline constexpr bool kIsCopyable<const T> = kIsCopyable<T>;
template <class T, std::size_t N>
inline constexpr bool kIsCopyable<std::array<T, N>> = kIsCopyable<T>;
template <class T>
inline constexpr bool kIsCopyable<std::optional<T>> = kIsCopyable<T>;
template <class First, class Second>
inline constexpr bool kIsCopyable<std::pair<First, Second>> = kIsCopyable<First> && kIsCopyable<Second>;
template <class... T>
inline constexpr bool kIsCopyable<std::tuple<T...>> = (kIsCopyable<T> && ...);
template <class... T>
inline constexpr bool kIsCopyable<std::variant<T...>> = (kIsCopyable<T> && ...);
template <class T>
inline constexpr bool kIsCopyable<Result<T>> = kIsCopyable<T>;
template <>
inline constexpr bool kIsCopyable<Result<void>> = true;

}  // namespace detail
}  // namespace knit
