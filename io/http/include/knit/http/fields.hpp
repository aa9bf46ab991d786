/// Fields: the header fields of a message that was received.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace knit::http {

/// One header field; the text belongs to the message that it came with.
struct Field {
    std::string_view name;
    std::string_view value;  ///< without the blanks around it
};

/// Whether the texts are the same but for the case of ASCII letters.
bool equals_ignoring_case(std::string_view left, std::string_view right) noexcept;

/// The header fields of a message, in their order. Names are compared without regard to case. Not thread-safe.
class Fields {
public:
    /// The first field's value of that name; none when there is no such field.
    std::optional<std::string_view> find(std::string_view name) const noexcept;
    /// The same, empty when there is none.
    std::string_view get(std::string_view name) const noexcept { return find(name).value_or(std::string_view()); }
    bool contains(std::string_view name) const noexcept { return find(name).has_value(); }
    /// All values of that name.
    std::vector<std::string_view> get_all(std::string_view name) const;
    /// Whether a field of that name, a list with commas, has the token, in any case of letters.
    bool has_token(std::string_view name, std::string_view token) const noexcept;

    auto begin() const noexcept { return fields_.begin(); }
    auto end() const noexcept { return fields_.end(); }
    std::size_t size() const noexcept { return fields_.size(); }
    bool empty() const noexcept { return fields_.empty(); }

    // For whoever parses.
    void add(std::string_view name) { fields_.push_back({name, {}}); }
    Field& last() noexcept { return fields_.back(); }
    /// The first of that name gets the value, which is added when there is none.
    void set(std::string_view name, std::string_view value);
    void clear() noexcept { fields_.clear(); }
    std::size_t capacity() const noexcept { return fields_.capacity(); }

private:
    std::vector<Field> fields_;
};

}  // namespace knit::http
