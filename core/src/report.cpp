#include "report.hpp"

#include <cstdlib>
#include <memory>
#include <typeinfo>
#include <utility>

#include <cxxabi.h>

#include "knit/detail/future_core.hpp"
#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "stack.hpp"

namespace knit::detail {
std::string type_name(const std::type_info& type) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                           &std::free);
    return status == 0 ? name.get() : type.name();
}

namespace {

/// Without its namespaces.
std::string bare_name(const std::type_info& type) {
    const std::string name = type_name(type);
    const std::size_t colons = name.rfind("::", name.find('<'));
    return colons == std::string::npos ? name : name.substr(colons + 2);
}

const char* unretrieved_message(const FutureCore& future) noexcept {
    return future.is_task() ? "Task exception was never retrieved" : "Future exception was never retrieved";
}

/// The future's last reference travels to its loop, and ends there.
struct UnretrievedMessage : Work {
    explicit UnretrievedMessage(FutureCore& which) noexcept : future(which) { run = &UnretrievedMessage::arrive; }
    static void arrive(Worker& worker, Work& work) noexcept {
        auto* const self = static_cast<UnretrievedMessage*>(&work);
        tell(worker, self->future);
        delete self;
    }
    static void tell(Worker& worker, FutureCore& future) noexcept {
        report(worker, unretrieved_message(future), future.slot().error,
               future.is_task() ? static_cast<TaskCore*>(&future) : nullptr);
        future.drop_ref();
    }
    FutureCore& future;
};

}  // namespace

std::string describe(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& exception) {
        return type_name(typeid(exception)) + ": " + exception.what();
    } catch (const BaseException& exception) {
        return type_name(typeid(exception)) + ": " + exception.what();
    } catch (...) {
        const std::type_info* const type = abi::__cxa_current_exception_type();
        return type != nullptr ? "an exception of type " + type_name(*type) : "an unknown exception";
    }
}

std::string exception_text(const std::exception_ptr& error) noexcept {
    const auto text = [](const std::type_info& type, const char* what) {
        return bare_name(type) + "('" + what + "')";
    };
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& exception) {
        return text(typeid(exception), exception.what());
    } catch (const BaseException& exception) {
        return text(typeid(exception), exception.what());
    } catch (...) {
        const std::type_info* const type = abi::__cxa_current_exception_type();
        return type != nullptr ? bare_name(*type) + "()" : "unknown";
    }
}

void report(Worker& worker, std::string message, std::exception_ptr error, TaskCore* task) noexcept {
    ExceptionContext context;
    context.message = std::move(message);
    context.exception = std::move(error);
    context.loop = &worker.loop();
    if (task != nullptr) {
        task->add_ref();
        context.task = TaskRef(CoreRef(task));
        if (worker.loop().get_debug()) {
            context.source = place_text(task->created());
        }
    }
    if (task == nullptr) {
        worker.loop().call_exception_handler(context);  // in the callback's context, which is the current one
        return;
    }
    ContextState*& current = context_slot();
    ContextState* const before = std::exchange(current, task->context());
    worker.loop().call_exception_handler(context);
    task->context() = std::exchange(current, before);
}

void report_unretrieved(FutureCore& future) noexcept {
    Worker& worker = future.is_task() ? static_cast<TaskCore&>(future).loop_worker() : future.keeper();
    if (Worker::current() == &worker) {
        UnretrievedMessage::tell(worker, future);
        return;
    }
    auto* const message = new (std::nothrow) UnretrievedMessage(future);
    if (message != nullptr && worker.post(*message)) {
        return;
    }
    delete message;
    std::string text = unretrieved_message(future);
    if (future.is_task()) {
        text += "\n  task: " + static_cast<TaskCore&>(future).name();
    }
    log(LogLevel::error, text + "\n  exception: " + describe(future.slot().error));
    future.drop_ref();
}

}  // namespace knit::detail
