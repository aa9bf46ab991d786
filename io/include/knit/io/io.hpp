/// Everything of knit that has a descriptor.
#pragma once

#include "knit/io/byte_stream.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/io/receive.hpp"
#include "knit/io/server.hpp"
#include "knit/io/socket.hpp"
#include "knit/io/stream_reader.hpp"
#include "knit/io/stream_server.hpp"
#include "knit/io/stream_writer.hpp"
#include "knit/io/streams.hpp"
#include "knit/io/tcp.hpp"
#include "knit/io/unix.hpp"
