#include "knit/io/detail/accept.hpp"

namespace knit::detail {
namespace {

/// Errors of accept(2) that tell of the connection that was next, not of the listener: it is gone, the next may be
/// good.
bool is_about_connection(int error) noexcept {
    switch (error) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case EPERM:  // a firewall's rule
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENONET:
        case ENOPROTOOPT: return true;
        default: return false;
    }
}

}  // namespace

bool AcceptOp::absorb(int result) noexcept {
    if (result < 0 && is_about_connection(-result) && !is_stopping()) {
        return false;
    }
    result_ = result;
    return true;
}

Fd AcceptOp::accepted() {
    take_result("accept");
    return take_connection();
}

}  // namespace knit::detail
