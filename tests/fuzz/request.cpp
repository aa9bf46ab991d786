// Fuzzes the reading of requests: whatever is taken is taken the same wherever its bytes are cut, and twice.
#include <cstdint>
#include <cstdlib>

#include "../http/message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto whole = knit::test::read_message(bytes);
    for (const std::size_t piece : {1U, 7U}) {
        if (knit::test::read_message(bytes, piece) != whole) {
            std::abort();
        }
    }
    if (whole && knit::test::read_message(bytes.substr(0, whole->size)) != whole) {
        std::abort();  // what stands behind a request is no part of it
    }
    return 0;
}
