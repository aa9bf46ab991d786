// An operation in flight, for tests of what the scheduler does then.
#pragma once

#include "driver.hpp"
#include "knit/detail/worker.hpp"

namespace knit::test {

/// One of the calling loop, as its driver counts it.
class OperationInFlight {
public:
    OperationInFlight() { driver().count_submitted(); }
    OperationInFlight(const OperationInFlight&) = delete;
    OperationInFlight& operator=(const OperationInFlight&) = delete;
    ~OperationInFlight() { driver().count_ended(); }

private:
    static detail::Driver& driver() { return detail::Worker::current()->driver(); }
};

}  // namespace knit::test
