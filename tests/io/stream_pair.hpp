/// What the tests of streams share.
#pragma once

#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "io_test.hpp"
#include "logged.hpp"

namespace knit::test {

/// A connection with a stream at one end.
struct StreamPair {
    io::StreamReader reader;
    io::StreamWriter writer;
    io::TcpStream far;
};

inline Coro<StreamPair> stream_pair(StreamOptions options = {}) {
    io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
    Coro<io::Connection> opening = open_connection(listener.local_endpoint(), options);
    io::Connection near = co_await std::move(opening);
    io::TcpStream far = co_await listener.accept();
    co_return StreamPair{std::move(near.reader), std::move(near.writer), std::move(far)};
}

inline Coro<> close_writer(io::StreamWriter& writer) {
    writer.close();
    co_await writer.wait_closed();
}

/// The code of the std::system_error that `awaitable` throws; none when it throws nothing.
template <class A>
Coro<std::error_code> code_of(A awaitable) {
    try {
        static_cast<void>(co_await std::move(awaitable));
    } catch (const std::system_error& error) {
        co_return error.code();
    }
    co_return std::error_code();
}

/// What awaiting `awaitable` throws, as "Type: what"; "" for nothing.
template <class A>
Coro<std::string> error_of(A awaitable) {
    try {
        static_cast<void>(co_await std::move(awaitable));
        co_return "";
    } catch (const CancelledError&) {
        co_return "CancelledError";
    } catch (const ValueError& error) {
        co_return std::string("ValueError: ") + error.what();
    } catch (const RuntimeError& error) {
        co_return std::string("RuntimeError: ") + error.what();
    } catch (const TimeoutError&) {
        co_return "TimeoutError";
    } catch (const std::exception& error) {
        co_return error.what();
    }
}

}  // namespace knit::test
