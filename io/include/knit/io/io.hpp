/// Everything of knit that has a descriptor.
#pragma once

#include "knit/io/buffers.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/getaddrinfo.hpp"
#include "knit/io/server.hpp"
#include "knit/io/socket.hpp"
#include "knit/io/tcp.hpp"
#include "knit/io/udp.hpp"
#include "knit/io/unix.hpp"
#include "knit/io/unix_datagram.hpp"
