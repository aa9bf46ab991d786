#include "bio.hpp"

#include <memory>
#include <new>

#include "knit/tls/detail/engine.hpp"

namespace knit::detail {
namespace {

TlsEngine& engine_of(BIO* bio) noexcept { return *static_cast<TlsEngine*>(BIO_get_data(bio)); }

int read_bytes(BIO* bio, char* buffer, std::size_t size, std::size_t* count) noexcept {
    BIO_clear_retry_flags(bio);
    TlsEngine& engine = engine_of(bio);
    *count = engine.pull(buffer, size);
    if (*count != 0) {
        return 1;
    }
    if (!engine.has_input_ended()) {
        BIO_set_retry_read(bio);
    }
    return 0;
}

int write_bytes(BIO* bio, const char* bytes, std::size_t size, std::size_t* count) noexcept {
    BIO_clear_retry_flags(bio);
    *count = engine_of(bio).push(bytes, size) ? size : 0;
    return *count == size ? 1 : 0;
}

long control(BIO* bio, int command, long, void*) noexcept {
    switch (command) {
        case BIO_CTRL_FLUSH: return 1;
        case BIO_CTRL_EOF: return engine_of(bio).has_input_ended() ? 1 : 0;
        default: return 0;
    }
}

int create(BIO* bio) noexcept {
    BIO_set_init(bio, 1);
    return 1;
}

struct FreeMethod {
    void operator()(BIO_METHOD* method) const noexcept { BIO_meth_free(method); }
};
using Method = std::unique_ptr<BIO_METHOD, FreeMethod>;

Method make_method() {
    Method method(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "knit"));
    if (method == nullptr || BIO_meth_set_read_ex(method.get(), &read_bytes) != 1 ||
        BIO_meth_set_write_ex(method.get(), &write_bytes) != 1 || BIO_meth_set_ctrl(method.get(), &control) != 1 ||
        BIO_meth_set_create(method.get(), &create) != 1) {
        throw std::bad_alloc();
    }
    return method;
}

}  // namespace

BIO* make_engine_bio(TlsEngine& engine) {
    static const Method method = make_method();
    BIO* const bio = BIO_new(method.get());
    if (bio == nullptr) {
        throw std::bad_alloc();
    }
    BIO_set_data(bio, &engine);
    return bio;
}

}  // namespace knit::detail
