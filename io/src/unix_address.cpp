#include "knit/io/detail/unix_address.hpp"

#include <cstddef>
#include <cstring>
#include <string_view>

#include "knit/error.hpp"

namespace knit::detail {

UnixAddress::UnixAddress(const std::filesystem::path& path) {
    const std::string& text = path.native();
    const bool is_abstract = text.starts_with('@') || text.starts_with('\0');
    if (!is_abstract && text.find('\0') != std::string::npos) {
        throw ValueError("the path of a Unix socket has a NUL in it: only an abstract name begins with one");
    }
    // A path ends with a NUL, an abstract name with its size.
    const std::size_t room = sizeof address_.sun_path - (is_abstract ? 0 : 1);
    if (text.size() > room) {
        throw ValueError("the path of a Unix socket takes at most " + std::to_string(room) + " bytes, '" + text +
                         "' has " + std::to_string(text.size()) + ": put it into a directory with a shorter name");
    }
    if (text.empty()) {
        return;
    }
    std::memcpy(address_.sun_path, text.data(), text.size());
    if (is_abstract) {
        address_.sun_path[0] = '\0';
    }
    size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + (is_abstract ? 0 : 1));
}

std::string UnixAddress::path() const {
    if (is_unnamed()) {
        return {};
    }
    const std::string_view text(address_.sun_path, size_ - offsetof(sockaddr_un, sun_path));
    if (text.front() == '\0') {
        return std::string("@").append(text.substr(1));
    }
    return std::string(text.substr(0, text.find('\0')));
}

UnixAddress unix_local_address(int number) noexcept {
    UnixAddress address;
    address.reserve_all();
    return getsockname(number, address.data(), address.size_word()) == 0 ? address : UnixAddress();
}

UnixAddress unix_peer_address(int number) noexcept {
    UnixAddress address;
    address.reserve_all();
    return getpeername(number, address.data(), address.size_word()) == 0 ? address : UnixAddress();
}

}  // namespace knit::detail
