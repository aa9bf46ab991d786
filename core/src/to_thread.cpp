#include "knit/to_thread.hpp"

#include <new>

#include "knit/detail/worker.hpp"

namespace knit::detail {

void release_on(Worker& worker, std::shared_ptr<void> thing) noexcept {
    struct Message : Work {
        std::shared_ptr<void> thing;
    };
    auto* const message = new (std::nothrow) Message;
    if (message == nullptr) {
        return;
    }
    message->thing = std::move(thing);
    message->run = [](Worker&, Work& work) noexcept { delete static_cast<Message*>(&work); };
    if (!worker.post(*message)) {
        delete message;
    }
}

}  // namespace knit::detail
