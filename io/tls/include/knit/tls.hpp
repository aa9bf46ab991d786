/// TLS over any stream: everything of knit::tls. Link with knit::tls.
#pragma once

#include "knit/tls/certificate.hpp"
#include "knit/tls/connect.hpp"
#include "knit/tls/connection_info.hpp"
#include "knit/tls/context.hpp"
#include "knit/tls/error.hpp"
#include "knit/tls/stream.hpp"
#include "knit/tls/streams.hpp"
