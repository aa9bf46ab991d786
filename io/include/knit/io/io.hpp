/// Everything of knit that has a descriptor.
#pragma once

#include "knit/io/endpoint.hpp"
#include "knit/io/rebalance.hpp"
#include "knit/io/receive.hpp"
#include "knit/io/server.hpp"
#include "knit/io/socket.hpp"
#include "knit/io/tcp.hpp"
