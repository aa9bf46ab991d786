/// is_a(): what an exception_ptr holds.
#pragma once

#include <exception>

namespace knit::http::detail {

template <class E>
bool is_a(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const E&) {
        return true;
    } catch (...) {
        return false;
    }
}

}  // namespace knit::http::detail
