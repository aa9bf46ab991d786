// ConnectionBase: answers that are files.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>
#include <system_error>

#include "knit/http/detail/connection_base.hpp"

namespace knit::http::detail {
namespace {

[[noreturn]] void throw_file_cut() {
    throw std::system_error(EIO, std::generic_category(), "the file has been cut while it was sent");
}

}  // namespace

bool ConnectionBase::is_small_file(const Response& response) const noexcept {
    const Response::Extra* const extra = response.extra_.get();
    return extra != nullptr && !extra->upgrade && !extra->produce && *extra->length <= kOutMost / 2 &&
           has_answer_body(response);
}

/// Behind its head, so that both are one write. False when the file cannot be read: of this answer nothing is there
/// then, and handler_error_ says why.
Coro<bool> ConnectionBase::put_small_file(Response& response) {
    Response::Extra& extra = *response.extra_;
    const std::size_t before = out_.size();
    append_head(response, false);
    const std::size_t end_of_head = out_.size();
    out_.resize(end_of_head + static_cast<std::size_t>(*extra.length));
    std::uint64_t done = 0;
    try {
        for (std::size_t count = 0; done < *extra.length; done += count) {
            const std::span<char> rest = std::span(out_).subspan(end_of_head + static_cast<std::size_t>(done));
            count = co_await extra.file.read_at(rest, extra.offset + done);
            if (count == 0) {
                throw_file_cut();
            }
        }
    } catch (...) {
        out_.resize(before);
        catch_handler_error();
    }
    const bool is_whole = handler_error_ == nullptr;
    if (is_whole) {
        note(response, done);
    }
    co_return is_whole;
}

/// Not Stream::send_file(), which does the same but does not tell of its progress: write_timeout is about that.
Coro<> ConnectionBase::put_file(Response& response) {
    Response::Extra& extra = *response.extra_;
    std::uint64_t left = *extra.length;
    std::uint64_t offset = extra.offset;
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(left, kFilePiece));
    std::unique_ptr<std::byte[]> buffer;
    while (left != 0) {
        Coro<std::size_t> sending_cached = send_cached(extra.file.native_handle(), offset, left);
        if (const std::size_t sent = co_await std::move(sending_cached); sent != 0) {
            left -= sent;
            offset += sent;
            body_sent_ += sent;
            continue;
        }
        if (buffer == nullptr) {
            buffer = std::make_unique_for_overwrite<std::byte[]>(room);
        }
        const std::span<std::byte> piece(buffer.get(), static_cast<std::size_t>(std::min<std::uint64_t>(left, room)));
        const std::size_t count = co_await extra.file.read_at(piece, offset);
        if (count == 0) {
            throw_file_cut();
        }
        Coro<> sending = send({reinterpret_cast<const char*>(buffer.get()), count});
        co_await std::move(sending);
        left -= count;
        offset += count;
        body_sent_ += count;
    }
}

}  // namespace knit::http::detail
