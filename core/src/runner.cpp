#include "knit/runner.hpp"

#include "knit/error.hpp"

namespace knit {

Runner::Runner(RunOptions options) : options_(std::move(options)) {}

Runner::~Runner() = default;

Runtime& Runner::open() {
    if (runtime_ == nullptr) {
        runtime_ = std::make_unique<Runtime>(options_);
        context_ = copy_context();
    } else if (runtime_->is_closed()) {
        throw RuntimeError("Runner is closed");
    }
    return *runtime_;
}

Loop& Runner::get_loop() { return open().loop(0); }

void Runner::close() {
    if (runtime_ != nullptr) {
        runtime_->close();
    }
}

}  // namespace knit
