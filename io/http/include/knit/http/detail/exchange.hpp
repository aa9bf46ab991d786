/// Exchange: what a request and its answer need of the connection, whatever stream that is on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "knit/coro.hpp"
#include "knit/io/endpoint.hpp"

namespace knit {
class Loop;
}

namespace knit::http {
class Request;
}

namespace knit::http::detail {

struct Head;
struct RequestReaders;

class Exchange {
public:
    virtual ~Exchange() = default;
    /// Which of the connection's requests this is now, for read_body().
    virtual std::uint16_t request_number() const noexcept { return 0; }
    /// The next piece of that request's body, good until the next call; empty at its end.
    virtual Coro<std::string_view> read_body(std::uint16_t request_number) = 0;
    /// A piece of the answer's body, which is not empty, is sent. On the connection's loop.
    virtual Coro<> write_body(std::string_view bytes) = 0;
    virtual io::Endpoint peer() const = 0;

protected:
    /// Makes `request` the one that `head` is of; false when its target is none.
    bool open(Request& request, const Head& head, std::size_t body_max);
    /// What `request` has views of is about to go.
    static void forget(Request& request) noexcept;

    // Tasks that read beside the handler's own, and may be left over. On the connection's loop.

    /// The current task reads `request`, and is not its handler's.
    static void note_reader(Request& request, Loop& loop);
    /// It was given the end of the body, and has no more to do with it.
    static void note_reader_end(Request& request, Loop& loop) noexcept;
    /// The request is over, and another comes: in the same object, unless one is left that has not read to the end.
    static void replace(std::unique_ptr<Request>& request);
    /// The request is over: it goes, unless such a reader is left; then with that, which finds nothing more to read.
    static void retire(std::unique_ptr<Request> request) noexcept;
};

/// What the BodyWriters of one answer share, which may be there for longer than the answer.
struct BodySink {
    BodySink(Exchange& of, Loop& where) noexcept : exchange(&of), loop(where) {}

    Exchange* exchange;  ///< on the loop; null once the function that makes the body has ended
    Loop& loop;
};

/// From any loop; goes on on the connection's.
Coro<> write_body(std::shared_ptr<BodySink> sink, std::string_view bytes);
Coro<> write_body_owned(std::shared_ptr<BodySink> sink, std::string bytes);

}  // namespace knit::http::detail
