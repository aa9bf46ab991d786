// Fuzzes endpoints: what is taken is what it says when it is written down, and is read the same again; what is refused
// says so with a ValueError.
#include "knit/io/endpoint.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "knit/error.hpp"
#include "knit/io/detail/address.hpp"

namespace {

void check_address(const knit::io::Endpoint& endpoint) {
    try {
        const knit::detail::SocketAddress address(endpoint);
        if (address.port() != endpoint.port() || knit::detail::SocketAddress(knit::io::Endpoint(address)) != address) {
            std::abort();
        }
    } catch (const knit::ValueError&) {
        static_cast<void>(0);  // a name, or an interface that is not there
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    try {
        const knit::io::Endpoint endpoint(bytes);
        const knit::io::Endpoint again(endpoint.to_string());
        if (again != endpoint || endpoint.host().find_first_of("[] ") != std::string::npos) {
            std::abort();
        }
        check_address(endpoint);
    } catch (const knit::ValueError& error) {
        if (std::strlen(error.what()) == 0) {
            std::abort();
        }
    }
    const long port = size > 1 ? data[0] * 400L - 2000 : 0;
    try {
        const knit::io::Endpoint endpoint(bytes, port);
        if (endpoint.port() != port || knit::io::Endpoint(endpoint.to_string()) != endpoint) {
            std::abort();
        }
        check_address(endpoint);
    } catch (const knit::ValueError&) {
        static_cast<void>(0);
    }
    return 0;
}
