#include "knit/http/fields.hpp"

#include <algorithm>

#include "text.hpp"

namespace knit::http {

bool equals_ignoring_case(std::string_view left, std::string_view right) noexcept {
    return left.size() == right.size() && std::equal(left.begin(), left.end(), right.begin(), [](char a, char b) {
               return detail::to_lower(a) == detail::to_lower(b);
           });
}

std::optional<std::string_view> Fields::find(std::string_view name) const noexcept {
    for (const Field& field : fields_) {
        if (equals_ignoring_case(field.name, name)) {
            return field.value;
        }
    }
    return std::nullopt;
}

std::vector<std::string_view> Fields::get_all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const Field& field : fields_) {
        if (equals_ignoring_case(field.name, name)) {
            values.push_back(field.value);
        }
    }
    return values;
}

void Fields::set(std::string_view name, std::string_view value) {
    for (Field& field : fields_) {
        if (equals_ignoring_case(field.name, name)) {
            field.value = value;
            return;
        }
    }
    fields_.push_back({name, value});
}

bool Fields::has_token(std::string_view name, std::string_view token) const noexcept {
    for (const Field& field : fields_) {
        if (!equals_ignoring_case(field.name, name)) {
            continue;
        }
        for (std::string_view rest = field.value; !rest.empty();) {
            if (equals_ignoring_case(detail::trim(detail::cut(rest, ',')), token)) {
                return true;
            }
        }
    }
    return false;
}

}  // namespace knit::http
