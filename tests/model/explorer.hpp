/// Explorer: runs two or three threads of the real code through all interleavings of their atomic accesses, with a
/// bounded number of preemptions, and lets loads see old values wherever the memory model allows it, a bounded number
/// of times. The code under test is compiled with KNIT_MODEL (model_atomic.hpp). Threads are fibers of one thread.
///
/// WHAT MEMORY DOES. Each location has the history of its stores, in the order in which they were executed. Each thread
/// has a view: for each location the oldest store that it may still see. A load sees that one or any later; an acquire
/// takes over the view that the store was released with; read-modify-writes see the newest and carry on what their
/// predecessor released. A sequentially consistent access orders only against others of the same location, as C++ has
/// it: nothing is taken from a processor whose read-modify-writes are fences. A full fence takes over, and publishes,
/// all that threads knew at their full fences. heavy_fence() is a full fence of every thread, at a moment of its own
/// for each; what such a thread has stored since its last light fence, the compiler might have moved behind it, and is
/// left out. So a store buffer is covered (a load that misses another thread's store), and messages that overtake each
/// other are. Not modelled: a load that sees a store of its own future, and a modification order that is not the
/// order of execution.
///
/// Outside of begin() and end() nothing is explored and all memory is sequentially consistent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace knit::detail::model {

struct Bounds {
    unsigned preemptions = 2;
    unsigned old_values = 2;
    /// More than this is not "all interleavings": the result says so.
    std::uint64_t runs_max = 3'000'000;
};

struct Result {
    bool is_right = false;
    std::uint64_t runs = 0;
    std::string text;  ///< what went wrong and the steps that led there
};

/// One execution, as the scenario sees it.
class Run {
public:
    /// Adds a thread.
    virtual void thread(std::function<void()> body) = 0;
    /// Runs the threads until all have ended, or rest.
    virtual void join() = 0;
    /// Explores from here on, until end().
    virtual void begin() noexcept = 0;
    virtual void end() noexcept = 0;
    /// The calling thread waits. Where nobody can go on the execution has failed, "everybody waits", unless all that
    /// are left `may_rest`: then join() returns.
    virtual void wait_until(std::function<bool()> condition, bool may_rest = false) = 0;
    /// The calling thread waits until all others wait.
    virtual void let_others_rest() = 0;
    /// The execution has failed; does not return.
    [[noreturn]] virtual void fail(const std::string& text) = 0;
    void expect(bool condition, const char* text) {
        if (!condition) {
            fail(text);
        }
    }
    /// Called before another thread goes on: exchanges what the threads keep in thread-locals.
    std::function<void(std::size_t from, std::size_t to)> on_switch;

protected:
    ~Run() = default;
};

/// Calls `scenario` for each interleaving. It must do the same each time but for what the threads do to each other.
Result explore(const Bounds& bounds, const std::function<void(Run&)>& scenario);

}  // namespace knit::detail::model
