/// Exchange: what a request and its answer need of the connection, whatever stream that is on.
#pragma once

#include <cstddef>
#include <string_view>

#include "knit/coro.hpp"
#include "knit/io/endpoint.hpp"

namespace knit::http {
class Request;
}

namespace knit::http::detail {

struct Head;

class Exchange {
public:
    virtual ~Exchange() = default;
    /// The next piece of the request's body, good until the next call; empty at its end.
    virtual Coro<std::string_view> read_body() = 0;
    /// A piece of the answer's body is sent.
    virtual Coro<> write_body(std::string_view bytes) = 0;
    virtual io::Endpoint peer() const = 0;

protected:
    /// Makes `request` the one that `head` is of; false when its target is none.
    bool open(Request& request, const Head& head, std::size_t body_max);
};

}  // namespace knit::http::detail
