#include "knit/tls/error.hpp"

namespace knit::tls {
namespace {

class Category final : public std::error_category {
public:
    const char* name() const noexcept override { return "tls"; }
    std::string message(int code) const override {
        switch (static_cast<Errc>(code)) {
            case Errc::certificate: return "certificate verification failed";
            case Errc::refused: return "refused by the peer";
            case Errc::unexpected_eof: return "unexpected end of the stream";
            case Errc::protocol: return "protocol error";
            case Errc::setup: return "unusable setting";
        }
        return "unknown TLS error";
    }
};

}  // namespace

const std::error_category& category() noexcept {
    static const Category instance;
    return instance;
}

}  // namespace knit::tls
