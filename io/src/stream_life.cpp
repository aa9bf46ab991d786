// Waiting for a connection, asking it, and the ends of its handles, on whatever thread they are destroyed.

#include <new>
#include <system_error>
#include <utility>

#include "knit/detail/worker.hpp"
#include "knit/io/detail/stream_core.hpp"
#include "knit/io/endpoint.hpp"
#include "knit/log.hpp"
#include "knit/sleep.hpp"

namespace knit::detail {

StreamCore::Rare& StreamCore::rare() {
    if (rare_ == nullptr) {
        rare_ = std::make_unique<Rare>();
    }
    return *rare_;
}

/// Stands in a list of futures as long as it lives.
class StreamCore::Waiting {
public:
    Waiting(StreamCore& core, Futures list) : list_(core.rare().*list) { list_.push_back(future); }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() { std::erase(list_, future); }

    Future<> future;

private:
    std::vector<Future<>>& list_;
};

void StreamCore::wake_all(Futures list) noexcept {
    if (rare_ == nullptr) {
        return;
    }
    for (Future<>& future : (*rare_).*list) {
        if (!future.done()) {
            future.set_result();
        }
    }
}

Coro<> StreamCore::drain(StreamCoreRef core) {
    core->check_loop();
    if (core->has_reader_ && core->exception() != nullptr) {
        std::rethrow_exception(core->exception());
    }
    core->flush();
    if (core->is_closing_) {
        co_await yield();  // the connection may be lost by then
    }
    if (core->is_lost_) {  // else what is written yet is on its way
        throw std::system_error(ECONNRESET, std::generic_category(), "Connection lost");
    }
    if (core->is_full_) {
        Waiting waiting(*core, &Rare::drains);
        co_await waiting.future;
        if (core->lost_error_ != nullptr) {
            std::rethrow_exception(core->lost_error_);
        }
    }
}

Coro<> StreamCore::wait_closed(StreamCoreRef core) {
    core->check_loop();
    if (!core->is_closed_) {
        Waiting waiting(*core, &Rare::closes);
        co_await waiting.future;
    }
    if (core->lost_error_ != nullptr) {
        std::rethrow_exception(core->lost_error_);
    }
}

std::any StreamCore::extra_info(std::string_view name) const {
    if (name == "socket") {
        return is_lost_ ? std::any() : stream_info(Info::socket);
    }
    if (name != "peername" && name != "sockname") {
        return stream_extra(name);
    }
    const bool is_peer = name == "peername";
    if (!is_lost_) {
        return stream_info(is_peer ? Info::peer : Info::local);
    }
    if (rare_ == nullptr) {
        return {};
    }
    return is_peer ? rare_->peer : rare_->local;
}

/// With a reference, as a message to the own loop: from its own thread to the end of the run queue.
bool StreamCore::post(Message& message, Work::Run run) noexcept {
    message.run = run;
    message.core = this;
    add_ref();
    if (Worker::current() == &home_) {
        home_.make_ready(message);
        return true;
    }
    if (home_.post(message)) {
        return true;
    }
    drop_ref();
    return false;
}

void StreamCore::drop_writer() noexcept {
    if (Worker::current() == &home_) {
        drop_writer_here();
        return;
    }
    const bool is_sent = post(drop_, [](Worker& worker, Work& work) noexcept {
        const StreamCoreRef core(static_cast<Message&>(work).core);
        if (!worker.is_discarding()) {
            core->drop_writer_here();
        }
    });
    if (!is_sent && !is_closing_) {
        log(LogLevel::warning, "unclosed <StreamWriter " + describe() + ">: loop is closed");
    }
}

void StreamCore::drop_writer_here() noexcept {
    if (is_closing_) {
        return;
    }
    try {
        std::string warning = "unclosed <StreamWriter " + describe() + ">";
        if (handler_runs_) {
            rare().warning = std::move(warning);
        } else {
            log(LogLevel::warning, std::move(warning));
        }
    } catch (const std::bad_alloc&) {
        log(LogLevel::warning, "unclosed");  // short enough to need none
    }
    begin_close();
}

void StreamCore::end_handler(bool warns) noexcept {
    handler_runs_ = false;
    if (rare_ != nullptr && !rare_->warning.empty()) {
        const std::string warning = std::exchange(rare_->warning, {});
        if (warns) {
            log(LogLevel::warning, warning);
        }
    }
    if (!warns) {
        begin_close();
    }
}

// A reader alone owns its connection; otherwise the writer does.
void StreamCore::drop_reader() noexcept {
    if (has_writer_) {
        return;
    }
    if (Worker::current() == &home_) {
        begin_close();
    } else {
        post(drop_, [](Worker& worker, Work& work) noexcept {
            const StreamCoreRef core(static_cast<Message&>(work).core);
            if (!worker.is_discarding()) {
                core->begin_close();
            }
        });
    }
}

/// The two ends, as far as they have names.
std::string StreamCore::describe() const {
    std::string text;
    for (const char* const name : {"sockname", "peername"}) {
        const std::any end = extra_info(name);
        if (const auto* const endpoint = std::any_cast<io::Endpoint>(&end)) {
            text += (text.empty() ? "" : " -> ") + endpoint->to_string();
        } else if (const auto* const path = std::any_cast<std::string>(&end); path != nullptr && !path->empty()) {
            text += (text.empty() ? "unix:" : " -> unix:") + *path;
        }
    }
    return text;
}

}  // namespace knit::detail
