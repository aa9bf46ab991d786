/// RuntimeLife: what a thread that is no loop of a runtime asks of it by way of one. Each loop has it too, so that it
/// is still there when the runtime has gone: who has found a loop open may come to the rest at any time after.
///
///   [run.closing]  cancel_everything: is_closing, then the count of tasks  <->  a thread: the count, then is_closing;
///                  all seq_cst
///                  a task that a thread makes is waited for, or the thread sees that it comes too late
///   [run.submit]   close: is_closing, then the submitters  <->  a thread: comes in, then is_closing; all seq_cst
///                  it is waited for, or sees that it comes too late and touches nothing but this
///                  a thread goes out: release  ->  close: acquire     what it did with the runtime is over
///   [run.message]  tell_loop_0: is_posted RMW  <->  loop 0: is_posted RMW
///                  one node, in one inbox; who finds it posted is heard as well: loop 0, having taken the node back,
///                  sees all that was before
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "blocking_pool.hpp"
#include "knit/detail/work.hpp"

namespace knit {
class Runtime;
}

namespace knit::detail {

class Worker;

class RuntimeLife {
public:
    /// Of a runtime that the calling thread makes and owns; the rest is for the BlockingPool.
    RuntimeLife(unsigned threads_max, std::vector<unsigned> cpus);
    RuntimeLife(const RuntimeLife&) = delete;
    RuntimeLife& operator=(const RuntimeLife&) = delete;

    // Before the loops are shown to other threads.

    void set_loop_0(Worker& worker) noexcept { loop_0_ = &worker; }
    void set_face(Runtime& face) noexcept { face_ = &face; }
    /// The calling thread turns all loops, on a clock of its own.
    void set_simulated() noexcept { is_simulated_ = true; }

    // Any thread.

    /// A thread that gives work to the runtime, as long as this lives; it keeps RuntimeLife for its last touch.
    class Submitter {
    public:
        explicit Submitter(std::shared_ptr<RuntimeLife> life) noexcept : life_(std::move(life)) {
            life_->submitters_.fetch_add(1, std::memory_order_seq_cst);  // [run.submit]
        }
        ~Submitter() { life_->submitters_.fetch_sub(1, std::memory_order_release); }  // [run.submit]
        Submitter(const Submitter&) = delete;
        Submitter& operator=(const Submitter&) = delete;

    private:
        const std::shared_ptr<RuntimeLife> life_;
    };

    /// A task of this runtime is being made where it has no loop.
    void count_made() noexcept { foreign_made_.fetch_add(1, std::memory_order_seq_cst); }  // [run.closing]
    /// A task that was counted, there or on a loop, has not come to be; the sum is what counts. It may be the last that
    /// the end of the run waits for, while all loops sleep: so loop 0 is told.
    void count_lost() noexcept {
        foreign_made_.fetch_sub(1, std::memory_order_acq_rel);  // [worker.count] [run.message]
        report_drained();
    }
    /// What has been made without a loop, less what was lost.
    std::uint64_t made() const noexcept { return foreign_made_.load(std::memory_order_seq_cst); }  // [run.closing]
    bool is_closing() const noexcept {
        return is_closing_.load(std::memory_order_seq_cst);  // [run.closing] [run.submit]
    }
    /// Loop 0 looks whether the run can end, if that is what it waits for.
    void report_drained() noexcept { tell_loop_0(drained_); }
    /// Loop 0 stops after its present turn, or after the one in which it hears of it.
    void stop_loop_0() noexcept;
    /// Somebody runs loop 0.
    bool is_running() const noexcept { return is_running_.load(std::memory_order_relaxed); }  // relaxed: a flag alone
    bool is_owner_here() const noexcept { return std::this_thread::get_id() == owner_; }
    bool is_simulated() const noexcept { return is_simulated_; }
    BlockingPool& blocking_pool() noexcept { return blocking_pool_; }
    /// Where the runtime was; whether it still is, is the caller's to know.
    Runtime& face() const noexcept { return *face_; }

    // The owner's thread.

    void set_running(bool on) noexcept { is_running_.store(on, std::memory_order_relaxed); }  // relaxed: a flag alone
    void start_closing() noexcept { is_closing_.store(true, std::memory_order_seq_cst); }  // [run.closing] [run.submit]
    /// After start_closing(): until those who were not too late have gone out.
    void wait_for_submitters() const noexcept;

private:
    struct Message : Work {
        /// Any thread sets it, loop 0 clears it; publishes to that what the thread did before [run.message].
        Atomic<bool> is_posted{false};
    };

    void tell_loop_0(Message& message) noexcept;
    static void take_back(Work& work) noexcept;

    const std::thread::id owner_ = std::this_thread::get_id();
    Worker* loop_0_ = nullptr;
    Runtime* face_ = nullptr;
    bool is_simulated_ = false;
    BlockingPool blocking_pool_;
    Atomic<bool> is_running_{false};         ///< the owner sets it, any thread may ask; publishes nothing
    Atomic<bool> is_closing_{false};         ///< the owner sets it, any thread reads it [run.closing]
    Atomic<std::uint64_t> foreign_made_{0};  ///< plain threads count, loop 0 reads [run.closing] [worker.count]
    Atomic<unsigned> submitters_{0};         ///< plain threads come and go, the owner waits [run.submit]
    Message stop_;
    Message drained_;
};

}  // namespace knit::detail
