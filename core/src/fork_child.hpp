/// fork(): a child has neither the threads of knit's loops nor their rings. One that only calls exec or _exit is
/// unharmed; what it asks of knit is refused, loudly.
#pragma once

namespace knit::detail {

class RuntimeCore;

/// From now on a fork makes the child a fork child. Throws std::bad_alloc.
void guard_fork(RuntimeCore& runtime);
void unguard_fork(RuntimeCore& runtime) noexcept;

/// Whether this process was forked while a runtime was open. Any thread, and a signal handler.
bool is_fork_child() noexcept;
/// RuntimeError that says what to do instead. Where nothing can be thrown: die_if_fork_child() of base.hpp.
void check_not_fork_child();

}  // namespace knit::detail
