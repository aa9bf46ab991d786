/// Permit: a request's right to be under way.
#pragma once

#include <memory>
#include <utility>

#include "knit/semaphore.hpp"

namespace knit::http::detail {

class Permit {
public:
    Permit() noexcept = default;
    explicit Permit(std::shared_ptr<Semaphore> semaphore) noexcept : semaphore_(std::move(semaphore)) {}
    Permit(Permit&&) noexcept = default;
    Permit& operator=(Permit&& other) noexcept {
        std::swap(semaphore_, other.semaphore_);
        return *this;
    }
    ~Permit() {
        if (semaphore_ != nullptr) {
            semaphore_->release();
        }
    }

private:
    std::shared_ptr<Semaphore> semaphore_;  ///< acquired
};

}  // namespace knit::http::detail
