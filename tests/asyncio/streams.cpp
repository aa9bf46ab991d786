// StreamReader standing alone: what it gives, when it waits, and in which order.

#include "knit/io/stream_reader.hpp"

#include "program.hpp"

namespace knit::pairs {
namespace {

Coro<> reads_what_is_there() {  // STREAM-01 .. 04
    StreamReader r;
    r.feed_data("abc");
    const std::string none = co_await r.read(0);
    const std::string two = co_await r.read(2);
    const std::string one = co_await r.read(5);
    log(none.size(), two, one);
    Task<std::string> t = create_task(r.read(-1));
    co_await tick();
    r.feed_data("chunk1 ");
    r.feed_data("chunk2");
    co_await tick(2);
    log(t.done());
    r.feed_eof();
    const std::string all = co_await t;
    log(all, r.at_eof());
}

Coro<> lines_and_their_limit() {  // STREAM-05 .. 07
    StreamReader r(7);
    r.feed_data("1234567\n12345678\nnext\n");
    const std::string first = co_await r.readline();
    log(first.size());
    const std::string too_long = co_await got_message(r.readline());
    log(too_long);
    const std::string next = co_await r.readline();
    log(next.size());
    r.feed_data("12345678x");
    const std::string too_far = co_await got_message(r.readline());
    log(too_far);
    r.feed_data("end");
    r.feed_eof();
    const std::string last = co_await r.readline();
    const std::string nothing = co_await r.readline();
    log(last, nothing.size());
}

Coro<> reads_until_a_separator() {  // STREAM-08 .. 11
    StreamReader r(8);
    Task<std::string> t = create_task(r.readuntil("AB"));
    for (const char* piece : {"xA", "A", "BA", "rest"}) {
        co_await tick(2);
        log(t.done());
        r.feed_data(piece);
    }
    const std::string found = co_await t;
    log(found);
    const auto left = create_task(r.readuntil("B"));
    r.feed_data("more");
    try {
        co_await left;
    } catch (const LimitOverrunError& e) {
        log("overrun", e.consumed());
    }
}

Coro<> ends_before_a_separator() {  // STREAM-09
    StreamReader r;
    r.feed_data("some dataAA");
    r.feed_eof();
    try {
        co_await r.readuntil("AAA");
    } catch (const IncompleteReadError& e) {
        log(e.partial(), e.expected(), e.what());
    }
    const std::string empty = co_await got_message(r.readuntil(""));
    log(empty);
    const std::string negative = co_await got_message(r.readexactly(-1));
    log(negative);
    try {
        co_await r.readexactly(2);
    } catch (const IncompleteReadError& e) {
        log(e.what(), e.expected());
    }
}

Coro<> a_separator_beyond_the_limit_leaves_the_bytes() {  // STREAM-10
    StreamReader r(3);
    for (const char* data : {"some dataAAA", "some dataAA"}) {
        r.feed_data(data);
        try {
            co_await r.readuntil("AAA");
        } catch (const LimitOverrunError& e) {
            log(e.consumed(), e.what());
        }
        const std::string left = co_await r.read(100);
        log(left);
    }
}

Coro<> a_second_reader_is_refused() {  // STREAM-18
    StreamReader r;
    Task<std::string> t = create_task(r.read(5));
    co_await tick();
    const std::string by_read = co_await got_message(r.read(1));
    log(by_read);
    const std::string by_line = co_await got_message(r.readline());
    log(by_line);
    const std::string by_exactly = co_await got_message(r.readexactly(3));
    log(by_exactly);
    r.feed_data("ok");
    const std::string got_it = co_await t;
    log(got_it);
}

Coro<> an_error_ends_all_reads() {  // STREAM-17
    StreamReader r;
    r.feed_data("part");
    Task<std::string> t = create_task(r.readline());
    co_await tick();
    r.set_exception(std::make_exception_ptr(Err("reset")));
    const std::string waiting = co_await got_message(t);
    const std::string later = co_await got(r.read(1));
    log(waiting, later, r.exception());
}

Coro<> a_timeout_loses_nothing() {  // STREAM-19
    StreamReader r;
    r.feed_data("ab");
    const std::string late = co_await got(wait_for(r.readexactly(4), 2ms));
    log(late);
    r.feed_data("cd|");
    const std::string all = co_await r.readuntil("|");
    log(all);
}

struct Transport final : ReadTransport {
    void pause_reading() override { log("pause"); }
    void resume_reading() override { log("resume"); }
};

Coro<> feeding_is_paused_and_resumed() {  // STREAM-21
    Transport transport;
    StreamReader r(4);
    r.set_transport(transport);
    r.feed_data("xxxxxxxx");
    log("8 buffered");
    r.feed_data("x");
    co_await r.read(4);
    log("5 left");
    co_await r.read(1);
    r.feed_data("xxxxxx");
    Task<std::string> t = create_task(r.readexactly(12));
    co_await tick();
    r.feed_data("xx");
    const std::string all = co_await t;
    log(all.size());
}

Coro<> wakes_in_the_turn_after_the_feeding() {
    StreamReader r;
    const auto reader = [&]() -> Coro<> {
        const std::string text = co_await r.read(10);
        log("got", text);
    };
    Task<> t = create_task(reader());
    co_await tick();
    loop().call_soon([] { log("before"); });
    r.feed_data("a");
    loop().call_soon([] { log("after"); });
    r.feed_data("b");
    co_await t;
}

const Family family("streams", {
    {"reads_what_is_there", reads_what_is_there},
    {"lines_and_their_limit", lines_and_their_limit},
    {"reads_until_a_separator", reads_until_a_separator},
    {"ends_before_a_separator", ends_before_a_separator},
    {"a_separator_beyond_the_limit_leaves_the_bytes", a_separator_beyond_the_limit_leaves_the_bytes},
    {"a_second_reader_is_refused", a_second_reader_is_refused},
    {"an_error_ends_all_reads", an_error_ends_all_reads},
    {"a_timeout_loses_nothing", a_timeout_loses_nothing},
    {"feeding_is_paused_and_resumed", feeding_is_paused_and_resumed},
    {"wakes_in_the_turn_after_the_feeding", wakes_in_the_turn_after_the_feeding},
});

}  // namespace
}  // namespace knit::pairs
