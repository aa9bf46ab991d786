/// Busy: that something is under way, as long as this stands.
#pragma once

#include "knit/event.hpp"

namespace knit::http::detail {

/// A flag that stands as long as this; who waits for its end is told.
class Busy {
public:
    Busy(bool& flag, Event& ended) noexcept : flag_(flag), ended_(ended) { flag_ = true; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() {
        flag_ = false;
        ended_.set();
    }

private:
    bool& flag_;
    Event& ended_;
};

}  // namespace knit::http::detail
