#include "knit/io/stream_reader.hpp"

#include <span>
#include <utility>

#include "knit/error.hpp"

namespace knit::detail {
namespace {

/// Of a StreamReader that stands alone.
class FedReader final : public ReaderState {
public:
    using ReaderState::ReaderState;
    void set_transport(io::ReadTransport& transport) {
        if (transport_ != nullptr) {
            throw RuntimeError("Transport already set");
        }
        transport_ = &transport;
    }

private:
    bool pause_feeding() override {
        if (transport_ == nullptr) {
            return false;
        }
        transport_->pause_reading();
        return true;
    }
    void resume_feeding() override { transport_->resume_reading(); }

    io::ReadTransport* transport_ = nullptr;
};

constexpr const char* kTooLong = "Separator is found, but chunk is longer than limit";
constexpr const char* kTooFar = "Separator is not found, and chunk exceed the limit";

Coro<std::string> read_some(ReaderRef reader, std::size_t count) {
    reader->begin_read();
    if (count == 0) {
        co_return std::string();
    }
    if (reader->size() == 0 && !reader->has_ended()) {
        co_await reader->wait_for_data("read");
    }
    co_return reader->take(count);
}

// asyncio takes block after block, and loses them when it is cancelled; here they stay in the buffer.
Coro<std::string> read_all(ReaderRef reader) {
    reader->begin_read();
    while (!reader->has_ended()) {
        co_await reader->wait_for_data("read");
    }
    co_return reader->take(reader->size());
}

Coro<std::string> read_exactly(ReaderRef reader, std::ptrdiff_t wanted) {
    if (wanted < 0) {
        throw ValueError("readexactly size can not be less than zero");
    }
    reader->begin_read();
    const auto count = static_cast<std::size_t>(wanted);
    while (reader->size() < count) {
        if (reader->has_ended()) {
            throw IncompleteReadError(reader->take(count), count);
        }
        co_await reader->wait_for_data("readexactly");
    }
    co_return reader->take(count);
}

Coro<std::string> read_until(ReaderRef reader, std::vector<std::string> separators) {
    SeparatorSearch search(separators);
    reader->begin_read();
    for (;;) {
        switch (reader->find(search)) {
            case Found::yes: co_return reader->take(search.end);
            case Found::not_at_all: throw IncompleteReadError(reader->take(reader->size()), std::nullopt);
            case Found::too_long: throw LimitOverrunError(kTooLong, search.start);
            case Found::too_far: throw LimitOverrunError(kTooFar, search.offset);
            case Found::not_yet: break;
        }
        co_await reader->wait_for_data("readuntil");
    }
}

Coro<std::string> read_line(ReaderRef reader) {
    std::string newline = "\n";
    SeparatorSearch search(std::span(&newline, 1));
    reader->begin_read();
    for (;;) {
        switch (reader->find(search)) {
            case Found::yes: co_return reader->take(search.end);
            case Found::not_at_all: co_return reader->take(reader->size());
            case Found::too_long: reader->skip(search.end); throw ValueError(kTooLong);
            case Found::too_far: reader->skip(reader->size()); throw ValueError(kTooFar);
            case Found::not_yet: break;
        }
        co_await reader->wait_for_data("readuntil");
    }
}

Coro<std::optional<std::string>> read_next_line(ReaderRef reader) {
    Coro<std::string> reading = read_line(std::move(reader));
    std::string line = co_await std::move(reading);
    if (line.empty()) {
        co_return std::nullopt;
    }
    co_return line;
}

}  // namespace
}  // namespace knit::detail

namespace knit::io {

using knit::detail::FedReader;
using knit::detail::ReaderRef;
using knit::detail::ReaderState;

StreamReader::StreamReader(std::size_t limit) : state_(new FedReader(limit)) {}

StreamReader& StreamReader::operator=(StreamReader&& other) noexcept {
    if (this != &other) {
        const StreamReader old(std::move(state_));
        state_ = std::move(other.state_);
    }
    return *this;
}

StreamReader::~StreamReader() {
    if (state_) {
        state_->drop_reader();
    }
}

ReaderState& StreamReader::state() const {
    if (!state_) {
        throw RuntimeError("there is no StreamReader: it was moved from");
    }
    return *state_;
}

ReaderRef StreamReader::share() const { return ReaderRef::share(state()); }

Coro<Bytes> StreamReader::read(std::ptrdiff_t count) {
    if (count < 0) {
        return knit::detail::read_all(share());
    }
    return knit::detail::read_some(share(), static_cast<std::size_t>(count));
}

Coro<Bytes> StreamReader::readline() { return knit::detail::read_line(share()); }

Coro<Bytes> StreamReader::readuntil(std::string_view separator) {
    std::vector<std::string> one;
    one.emplace_back(separator);
    return readuntil(std::move(one));
}

Coro<Bytes> StreamReader::readuntil(std::vector<std::string> separators) {
    return knit::detail::read_until(share(), std::move(separators));
}

Coro<Bytes> StreamReader::readuntil(std::initializer_list<std::string_view> separators) {
    return readuntil(std::vector<std::string>(separators.begin(), separators.end()));
}

Coro<Bytes> StreamReader::readexactly(std::ptrdiff_t count) { return knit::detail::read_exactly(share(), count); }

Coro<std::optional<Bytes>> StreamReader::next_line() { return knit::detail::read_next_line(share()); }

bool StreamReader::at_eof() const { return state().at_eof(); }
std::exception_ptr StreamReader::exception() const { return state().exception(); }
void StreamReader::feed_data(std::string_view data) { state().feed_data(data); }
void StreamReader::feed_eof() { state().feed_eof(); }
void StreamReader::set_exception(std::exception_ptr error) { state().set_exception(std::move(error)); }

void StreamReader::set_transport(ReadTransport& transport) {
    auto* const fed = dynamic_cast<FedReader*>(&state());
    if (fed == nullptr) {
        throw RuntimeError("Transport already set");
    }
    fed->set_transport(transport);
}

}  // namespace knit::io
