/// What keeps an H2ServerStream that is closed. Running: a request's task, from before its first step to its end, also
/// when it never takes a step. Using: a read or a write, whichever task's.
#pragma once

#include <utility>

#include "server.hpp"
#include "server_stream.hpp"

namespace knit::http::detail {

class H2ServerStream::Running {
public:
    explicit Running(H2ServerStream& stream) noexcept : stream_(&stream) {
        stream.has_task_ = true;
        stream.server_.task_begun();
    }
    Running(Running&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
    Running& operator=(Running&&) = delete;
    ~Running() {
        if (stream_ != nullptr) {
            end();
        }
    }
    H2ServerStream& stream() const noexcept { return *stream_; }

private:
    void end() noexcept {
        H2Server& server = stream_->server_;
        stream_->has_task_ = false;
        stream_->task_ = TaskRef();
        stream_->stop_reading();
        if (!stream_->is_closed() && !stream_->is_answered_) {
            stream_->reset(NGHTTP2_INTERNAL_ERROR);
        }
        stream_->delete_unless_kept();
        server.task_ended();
    }

    H2ServerStream* stream_;
};

class H2ServerStream::Using {
public:
    explicit Using(H2ServerStream& stream) noexcept : stream_(stream) {
        ++stream_.use_count_;
        stream_.server_.use_begun();
    }
    Using(const Using&) = delete;
    Using& operator=(const Using&) = delete;
    ~Using() {
        H2Server& server = stream_.server_;
        --stream_.use_count_;
        stream_.delete_unless_kept();
        server.use_ended();
    }

private:
    H2ServerStream& stream_;
};

}  // namespace knit::http::detail
