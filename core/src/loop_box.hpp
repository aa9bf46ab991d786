/// LoopBox: one loop of a runtime, engine and face, and what the runtime has to do with it.
#pragma once

#include "knit/detail/worker.hpp"
#include "knit/loop.hpp"

namespace knit::detail {

/// Kept, closed, for a while after the runtime has ended, because handles may outlive it.
struct LoopBox {
    LoopBox(unsigned id, RuntimeCore& runtime) : worker(id, runtime, loop), loop(worker) {}
    Worker worker;  // keeps a reference to the loop, which it uses only once both are there
    Loop loop;
    Driver* abandoned_driver = nullptr;  ///< operations in flight, whose memory the kernel may still write: for good
    LoopBox* next_closed = nullptr;      ///< younger, of those that are kept
    // Loop 0's messages to this one; each is posted again only when it has been handled.
    Work ask;   ///< its tasks to end
    Work halt;  ///< after the present turn
    Work stop;  ///< the same, for good
};

}  // namespace knit::detail
