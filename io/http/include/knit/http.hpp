/// HTTP: a server and a client. Link knit::http.
#pragma once

#include "knit/http/access_log.hpp"
#include "knit/http/client.hpp"
#include "knit/http/error.hpp"
#include "knit/http/fields.hpp"
#include "knit/http/request.hpp"
#include "knit/http/response.hpp"
#include "knit/http/router.hpp"
#include "knit/http/server.hpp"
#include "knit/http/server_options.hpp"
#include "knit/http/static_files.hpp"
#include "knit/http/url.hpp"
#include "knit/http/websocket.hpp"
