#include "program.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fake_driver.hpp"

namespace knit::pairs {
namespace {

struct Entry {
    std::string name;
    Program program;
};

std::vector<Entry>& entries() {
    static std::vector<Entry> all;
    return all;
}

std::pair<std::uint64_t, std::uint64_t> seed_range{1, 200};
TimePoint clock_begin;

template <class E>
bool is_error(const std::exception_ptr& error, std::string& message) {
    try {
        std::rethrow_exception(error);
    } catch (const E& e) {
        message = e.what();
        return true;
    } catch (...) {
        return false;
    }
}

bool is_cancelled(const std::exception_ptr& error, std::string& message) {
    try {
        std::rethrow_exception(error);
    } catch (const CancelledError& e) {
        message = e.message();
        return true;
    } catch (...) {
        return false;
    }
}

std::string group_text(std::string text, const std::vector<std::exception_ptr>& errors, bool with_message) {
    const std::size_t empty = text.size();
    for (const std::exception_ptr& error : errors) {
        text += (text.size() == empty ? "" : ", ") + error_text(error, with_message);
    }
    return text + "]";
}

void run_program(const Entry& entry) {
    std::printf("\1%s\n", entry.name.c_str());
    try {
        if (entry.program.coroutine != nullptr) {
            run(entry.program.coroutine(), one_loop());
        } else {
            entry.program.plain();
        }
    } catch (...) {
        log("raised", error_text(std::current_exception(), true));
    }
    std::printf("\2\n");
    std::fflush(stdout);
}

int list() {
    for (const Entry& entry : entries()) {
        std::printf("%s\n", entry.name.c_str());
    }
    return 0;
}

int run_named(const char* name) {
    for (const Entry& entry : entries()) {
        if (entry.name == name) {
            run_program(entry);
            return 0;
        }
    }
    std::fprintf(stderr, "there is no program %s\n", name);
    return 2;
}

int run_all(int count, char** arguments) {
    for (int place = 1; place < count; ++place) {
        if (std::strcmp(arguments[place], "--list") == 0) {
            return list();
        }
        if (std::strcmp(arguments[place], "--seeds") == 0 && place + 1 < count) {
            char* end = nullptr;
            seed_range.first = std::strtoull(arguments[++place], &end, 10);
            seed_range.second = *end == '-' ? std::strtoull(end + 1, nullptr, 10) : seed_range.first;
        } else if (const int status = run_named(arguments[place]); status != 0) {
            return status;
        }
    }
    return 0;
}

}  // namespace

Family::Family(const char* name, std::initializer_list<Program> programs) {
    for (const Program& program : programs) {
        entries().push_back({std::string(name) + "." + program.name, program});
    }
}

std::pair<std::uint64_t, std::uint64_t> seeds() { return seed_range; }

void log_line(const std::string& line) { std::printf("%s\n", line.c_str()); }

std::string error_text(const std::exception_ptr& error, bool with_message) {
    try {
        std::rethrow_exception(error);
    } catch (const ExceptionGroup& group) {
        return group_text("!ExceptionGroup[", group.errors(), with_message);
    } catch (const BaseExceptionGroup& group) {
        return group_text("!BaseExceptionGroup[", group.errors(), with_message);
    } catch (...) {
    }
    std::string message;
    const char* const type = is_cancelled(error, message)                ? "CancelledError"
                             : is_error<KeyboardInterrupt>(error, message) ? "KeyboardInterrupt"
                             : is_error<BaseErr>(error, message)           ? "BaseErr"
                             : is_error<Err>(error, message)               ? "Err"
                             : is_error<Err2>(error, message)              ? "Err2"
                             : is_error<InvalidStateError>(error, message) ? "InvalidStateError"
                             : is_error<TimeoutError>(error, message)      ? "TimeoutError"
                             : is_error<QueueEmpty>(error, message)        ? "QueueEmpty"
                             : is_error<QueueFull>(error, message)         ? "QueueFull"
                             : is_error<QueueShutDown>(error, message)     ? "QueueShutDown"
                             : is_error<BrokenBarrierError>(error, message) ? "BrokenBarrierError"
                             : is_error<RuntimeError>(error, message)       ? "RuntimeError"
                             : is_error<ValueError>(error, message)         ? "ValueError"
                             : is_error<TypeError>(error, message)          ? "TypeError"
                             : is_error<LookupError>(error, message)        ? "LookupError"
                             : is_error<std::exception>(error, message)     ? "exception"
                                                                            : "unknown";
    return "!" + std::string(type) + (with_message ? "(" + message + ")" : "");
}

Coro<> tick(int count) {
    for (int turn = 0; turn < count; ++turn) {
        co_await sleep(0s);
    }
}

std::int64_t now() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(loop().time() - clock_begin).count();
}

void on_error() {
    loop().set_exception_handler([](const ExceptionContext& context) { log("handler:", context.message); });
}

RunOptions one_loop() {
    RunOptions options;
    options.loops = 1;
    clock_begin = TimePoint(std::chrono::hours(1)) + testing::elapsed();
    return options;
}

}  // namespace knit::pairs

int main(int count, char** arguments) {
    knit::set_log_sink([](const knit::LogRecord&) {});
    std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
    return knit::pairs::run_all(count, arguments);
}
