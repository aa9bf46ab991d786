#include "probe.hpp"

#include <csignal>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

#include <cxxabi.h>
#include <execinfo.h>
#include <ucontext.h>
#include <unistd.h>

#include "knit/coro.hpp"
#include "knit/detail/worker.hpp"
#include "platform.hpp"
#include "stack.hpp"

namespace knit::detail {
namespace {

constexpr std::chrono::microseconds kLookAgain{100};

enum class Phase : std::uint8_t { idle, asked, noting, noted };

/// One for the process, for good: a handler may come late.
struct Probe {
    std::mutex mutex;  ///< one asks at a time; guards all but the next four
    Atomic<Phase> phase{Phase::idle};         ///< the asker and the handler, see the head [probe.phase]
    Atomic<int> thread_id{0};                 ///< whom the asker means; the handler compares [probe.phase]
    Atomic<const Worker*> worker{nullptr};    ///< likewise [probe.phase]
    Observed seen;                            ///< the handler's while `noting`, else the asker's
    unsigned users = 0;
    struct sigaction before {};
};

Probe& the_probe() noexcept {
    static Probe* const probe = new Probe;
    return *probe;
}

void* interrupted_at(const void* context) noexcept {
    const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    return reinterpret_cast<void*>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return reinterpret_cast<void*>(machine.pc);
#else
    static_cast<void>(machine);
    return nullptr;
#endif
}

// What follows runs in the signal handler: no memory is allocated, nothing is locked, and of the loop only that is read
// which its own thread, this one, writes.

void note_task(const TaskCore& task, Observed& seen) noexcept {
    seen.has_task = true;
    seen.task_id = task.id();
    seen.is_cancelling = task.cancelling() > 0;
    seen.function = task.function();
    seen.created = task.created();
    seen.name_size = task.given_name().copy(seen.name.data(), seen.name.size());
    if (task.is_done()) {
        return;
    }
    for (std::coroutine_handle<> handle = task.leaf(); handle;) {
        if (seen.stage_count == seen.stages.size()) {
            seen.is_chain_cut = true;
            return;
        }
        const PromiseBase& promise = PromiseBase::of(handle);
        seen.stages[seen.stage_count++] = {promise.function(), promise.where()};
        handle = promise.continuation();
    }
}

void note(const Worker& worker, const void* context, Observed& seen) noexcept {
    seen.steps = worker.steps();
    seen.has_task = seen.is_cancelling = seen.is_chain_cut = false;
    seen.name_size = seen.stage_count = seen.native_count = 0;
    if (const TaskCore* const task = worker.current_task()) {
        note_task(*task, seen);
    }
    const int count = ::backtrace(seen.native.data(), static_cast<int>(seen.native.size()));
    // Without the handler's own frames, where it can be told which these are.
    const void* const interrupted = interrupted_at(context);
    int first = 0;
    while (first < count && seen.native[static_cast<std::size_t>(first)] != interrupted) {
        ++first;
    }
    for (int index = first == count ? 0 : first; index < count; ++index) {
        seen.native[seen.native_count++] = seen.native[static_cast<std::size_t>(index)];
    }
}

void handle_probe(int signal, siginfo_t* info, void* context) {
    const int saved_errno = errno;
    Probe& probe = the_probe();
    Phase expected = Phase::asked;
    if (probe.thread_id.load(std::memory_order_acquire) == this_thread_id() &&                          // [probe.phase]
        probe.phase.compare_exchange_strong(expected, Phase::noting, std::memory_order_acq_rel)) {  // [probe.phase]
        note(*probe.worker.load(std::memory_order_acquire), context, probe.seen);  // [probe.phase]
        probe.phase.store(Phase::noted, std::memory_order_release);                 // [probe.phase]
    } else if ((probe.before.sa_flags & SA_SIGINFO) != 0) {
        if (probe.before.sa_sigaction != nullptr) {
            probe.before.sa_sigaction(signal, info, context);
        }
    } else if (probe.before.sa_handler != SIG_DFL && probe.before.sa_handler != SIG_IGN) {
        probe.before.sa_handler(signal);
    }
    errno = saved_errno;
}

// As far as here.

/// "app::work(int)" of backtrace_symbols()' "./app(_ZN3app4workEi+0x12) [0x55]"; as it is where there is no name.
std::string symbol_text(std::string_view line) {
    const std::size_t open = line.find('(');
    const std::size_t plus = line.find('+', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || plus == std::string_view::npos || plus == open + 1) {
        return std::string(line);
    }
    const std::string mangled(line.substr(open + 1, plus - open - 1));
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(
        abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status), &std::free);
    return (status == 0 ? name.get() : mangled) + " in " + std::string(line.substr(0, open));
}

}  // namespace

void install_probe() {
    Probe& probe = the_probe();
    const std::lock_guard lock(probe.mutex);
    if (probe.users++ != 0) {
        return;
    }
    void* unused[2];
    static_cast<void>(::backtrace(unused, 2));  // the first call loads a library, which no handler may do
    sigaction(SIGURG, nullptr, &probe.before);
    struct sigaction action {};
    action.sa_sigaction = &handle_probe;
    action.sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGURG, &action, nullptr);
}

void remove_probe() noexcept {
    Probe& probe = the_probe();
    const std::lock_guard lock(probe.mutex);
    if (--probe.users != 0) {
        return;
    }
    struct sigaction now {};
    if (sigaction(SIGURG, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
        now.sa_sigaction == &handle_probe) {
        sigaction(SIGURG, &probe.before, nullptr);
    }
}

bool probe(const Worker& worker, Duration limit, Observed& seen) {
    Probe& probe = the_probe();
    const std::lock_guard lock(probe.mutex);
    const int thread_id = worker.thread_id();
    if (probe.users == 0 || thread_id == 0 || thread_id == this_thread_id()) {
        return false;
    }
    probe.worker.store(&worker, std::memory_order_release);       // [probe.phase]
    probe.thread_id.store(thread_id, std::memory_order_release);  // [probe.phase]
    probe.phase.store(Phase::asked, std::memory_order_release);   // [probe.phase]
    if (::tgkill(::getpid(), thread_id, SIGURG) == 0) {
        const TimePoint end = after(std::chrono::steady_clock::now(), limit);
        while (probe.phase.load(std::memory_order_acquire) != Phase::noted &&  // [probe.phase]
               std::chrono::steady_clock::now() < end) {
            std::this_thread::sleep_for(kLookAgain);
        }
    }
    Phase expected = Phase::asked;
    if (probe.phase.compare_exchange_strong(expected, Phase::idle, std::memory_order_acq_rel)) {  // [probe.phase]
        return false;
    }
    while (probe.phase.load(std::memory_order_acquire) != Phase::noted) {  // [probe.phase]
        std::this_thread::yield();  // ends: the handler is at it
    }
    seen = probe.seen;
    probe.phase.store(Phase::idle, std::memory_order_release);  // [probe.phase]
    return true;
}

std::string name_of(const Observed& seen) {
    if (!seen.has_task) {
        return "a callback";
    }
    const std::string name = seen.name_size != 0 ? std::string(seen.name.data(), seen.name_size)
                                                 : "Task-" + std::to_string(seen.task_id);
    return std::string("<Task ") + (seen.is_cancelling ? "cancelling" : "pending") + " name='" + name + "' coro=<" +
           std::string(short_name(seen.function.function_name())) + "()>>";
}

std::string stack_of(const Observed& seen) {
    std::string text;
    for (std::size_t index = 0; index < seen.stage_count; ++index) {
        const Observed::Stage& stage = seen.stages[index];
        const bool has_awaited = stage.where.line() != stage.function.line();
        text += "\n  in " + std::string(short_name(stage.function.function_name())) + "(), " +
                (index != 0 ? "at the await at " : has_awaited ? "after the await at " : "which begins at ") +
                place_text(stage.where);
    }
    text += seen.is_chain_cut ? "\n  ..." : "";
    if (seen.has_task) {
        text += "\n  created at " + place_text(seen.created);
    }
    const auto count = static_cast<int>(seen.native_count);
    const std::unique_ptr<char*, decltype(&std::free)> symbols(::backtrace_symbols(seen.native.data(), count),
                                                               &std::free);
    for (int index = 0; symbols != nullptr && index < count; ++index) {
        text += "\n  #" + std::to_string(index) + " " + symbol_text(symbols.get()[index]);
    }
    return text;
}

}  // namespace knit::detail
