/// The engine as OpenSSL sees it: a BIO that never waits and copies once.
#pragma once

#include <openssl/bio.h>

namespace knit::detail {

class TlsEngine;

/// A BIO whose bytes come from and go to the engine, which outlives it. std::bad_alloc.
BIO* make_engine_bio(TlsEngine& engine);

}  // namespace knit::detail
