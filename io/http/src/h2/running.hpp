/// H2ServerStream::Running: a request's task, from before its first step to its end, also when it never takes a step.
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
        if (stream_->is_closed()) {
            delete stream_;
        } else {
            stream_->stop_reading();
            if (!stream_->is_answered_) {
                stream_->reset(NGHTTP2_INTERNAL_ERROR);
            }
        }
        server.task_ended();
    }

    H2ServerStream* stream_;
};

}  // namespace knit::http::detail
