/// What a loop's thread is doing at this moment, although it does not come back to its loop: the thread is asked by a
/// signal (SIGURG, which nobody minds), and its handler notes down its own task and chain of awaits.
///
///   [probe.phase]  the asker: asked, release  ->  the handler: acquire     whose it is
///                  the handler: noted, release  ->  the asker: acquire     what was noted
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>

#include "knit/time.hpp"

namespace knit::detail {

class Worker;

/// Of fixed size, and made of what outlives the task: the handler writes it.
struct Observed {
    struct Stage {
        std::source_location function;
        std::source_location where;
    };
    static constexpr std::size_t kStagesMax = 48;
    static constexpr std::size_t kNativeMax = 48;
    static constexpr std::size_t kNameMax = 96;

    std::uint64_t steps = 0;  ///< Worker::steps()
    bool has_task = false;    ///< else a callback, or knit itself
    bool is_cancelling = false;
    bool is_chain_cut = false;
    std::uint64_t task_id = 0;
    std::size_t name_size = 0;  ///< 0: it was given none
    std::array<char, kNameMax> name;
    std::source_location function;
    std::source_location created;
    std::size_t stage_count = 0;
    std::array<Stage, kStagesMax> stages;  ///< the innermost first
    std::size_t native_count = 0;
    std::array<void*, kNativeMax> native;  ///< return addresses, the innermost first
};

/// Takes SIGURG over, as long as anybody wants it; what handled it before still gets what is not ours.
void install_probe();
void remove_probe() noexcept;

/// False when the thread has not answered in `limit`, or nobody runs the loop. Any thread but the loop's own.
bool probe(const Worker& worker, Duration limit, Observed& seen);

/// "<Task pending name='Task-1' coro=<main()>>", or "a callback".
std::string name_of(const Observed& seen);
/// The chain of awaits and the native stack, a line each.
std::string stack_of(const Observed& seen);

}  // namespace knit::detail
