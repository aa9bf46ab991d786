#include "knit/io/detail/reader_state.hpp"

#include <algorithm>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"

namespace knit::detail {
namespace {

// An empty buffer larger than this is given back: an idle connection costs no more.
constexpr std::size_t kKeptBuffer = 256;

}  // namespace

void DataWait::start(TaskCore& task, std::coroutine_handle<> handle) noexcept {
    task_ = &task;
    reader_.waiter_ = this;
    task.suspend(handle, this);
}

void DataWait::await_resume() {
    if (task_ != nullptr) {
        task_->resumed();
        if (is_cancelled_) {
            task_->throw_cancelled();
        }
    }
    if (is_failed_) {
        std::rethrow_exception(reader_.error_);
    }
}

void DataWait::wake(bool by_error) noexcept {
    is_over_ = true;
    is_failed_ = by_error;
    task_->wake();
}

bool DataWait::cancel_wait(Wait& wait) noexcept {
    DataWait& self = static_cast<DataWait&>(wait);
    if (self.is_over_) {
        return false;
    }
    self.reader_.waiter_ = nullptr;
    self.is_over_ = true;
    self.is_cancelled_ = true;
    self.task_->wake();
    return true;
}

SeparatorSearch::SeparatorSearch(std::span<std::string> wanted) : separators(wanted) {
    if (separators.empty()) {
        throw ValueError("Separator should contain at least one element");
    }
    std::ranges::sort(wanted, {}, &std::string::size);
    shortest = separators.front().size();
    longest = separators.back().size();
    if (shortest == 0) {
        throw ValueError("Separator should be at least one-byte string");
    }
}

ReaderState::ReaderState(std::size_t limit) : limit_(limit) {
    if (limit == 0) {
        throw ValueError("Limit cannot be <= 0");
    }
}

ReaderState::~ReaderState() { KNIT_ASSERT(waiter_ == nullptr); }

void ReaderState::check_feeder() const {
    if (waiter_ != nullptr && waiter_->home() != Worker::current()) {
        throw RuntimeError("a StreamReader is fed on the loop of the task that reads from it");
    }
}

void ReaderState::feed_data(std::string_view data) {
    check_feeder();
    if (has_ended_) {
        throw RuntimeError("feed_data after feed_eof");
    }
    if (data.empty()) {
        return;
    }
    if (begin_ > buffer_.size() / 2) {
        buffer_.erase(0, begin_);
        begin_ = 0;
    }
    buffer_.append(data);
    wake_waiter(false);
    if (!is_paused_ && size() > 2 * limit_) {
        is_paused_ = pause_feeding();
    }
}

void ReaderState::feed_eof() {
    check_feeder();
    has_ended_ = true;
    wake_waiter(false);
}

void ReaderState::set_exception(std::exception_ptr error) {
    check_feeder();
    if (error == nullptr) {
        throw ValueError("set_exception() needs an exception, got a null std::exception_ptr");
    }
    error_ = std::move(error);
    wake_waiter(true);
}

void ReaderState::wake_waiter(bool by_error) noexcept {
    if (waiter_ != nullptr) {
        std::exchange(waiter_, nullptr)->wake(by_error);
    }
}

void ReaderState::begin_read() const {
    check_loop();
    if (error_ != nullptr) {
        std::rethrow_exception(error_);
    }
}

DataWait ReaderState::wait_for_data(const char* function) {
    if (waiter_ != nullptr) {
        throw RuntimeError(std::string(function) +
                           "() called while another coroutine is already waiting for incoming data");
    }
    if (error_ != nullptr) {
        std::rethrow_exception(error_);
    }
    const std::size_t before = size();
    // Waiting while paused would be for ever.
    if (std::exchange(is_paused_, false)) {
        resume_feeding();
    }
    prepare_wait();
    const bool is_failed = error_ != nullptr;
    return {*this, is_failed || has_ended_ || size() != before, is_failed};
}

std::string ReaderState::take(std::size_t count) {
    std::string taken;
    if (begin_ == 0 && count >= buffer_.size()) {
        taken.swap(buffer_);
    } else {
        taken = buffer_.substr(begin_, count);
        drop_front(taken.size());
    }
    resume_if_small();
    return taken;
}

void ReaderState::skip(std::size_t count) {
    drop_front(std::min(count, size()));
    resume_if_small();
}

void ReaderState::drop_front(std::size_t count) noexcept {
    begin_ += count;
    if (begin_ == buffer_.size()) {
        begin_ = 0;
        buffer_.clear();
        if (buffer_.capacity() > kKeptBuffer) {
            std::string().swap(buffer_);
        }
    }
}

void ReaderState::resume_if_small() {
    if (is_paused_ && size() <= limit_) {
        is_paused_ = false;
        resume_feeding();
    }
}

Found ReaderState::find(SeparatorSearch& search) const {
    const std::string_view text = data();
    if (search.offset > text.size()) {
        search.offset = 0;  // somebody else has read meanwhile
    }
    if (text.size() - search.offset >= search.shortest) {
        search.end = std::string_view::npos;
        for (const std::string& separator : search.separators) {
            const std::size_t start = text.find(separator, search.offset);
            if (start != std::string_view::npos && start + separator.size() < search.end) {
                search.start = start;
                search.end = start + separator.size();
            }
        }
        if (search.end != std::string_view::npos) {
            return search.start > limit_ ? Found::too_long : Found::yes;
        }
        // The last bytes may be the first of a separator.
        search.offset = text.size() + 1 > search.longest ? text.size() + 1 - search.longest : 0;
        if (search.offset > limit_) {
            return Found::too_far;
        }
    }
    return has_ended_ ? Found::not_at_all : Found::not_yet;
}

}  // namespace knit::detail
