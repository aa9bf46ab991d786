/// Descriptor: a descriptor number that operations use.
///
///   [fd.busy]  the last operation ends: busy_ = null, release  ->  close on any thread: busy_ acquire
///              the closer sees the descriptor as the operation left it
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "knit/detail/base.hpp"
#include "knit/detail/work.hpp"
#include "knit/io/detail/fd.hpp"

namespace knit::detail {

class Op;
class Worker;

/// close(2) does not end what the kernel has in flight, and would let the number go
/// to somebody else while an operation that is about to be submitted still names it: so the number is given back only
/// when no operation holds it. All operations in flight at one time belong to tasks of one loop, the only one to touch
/// the list.
class Descriptor : private Work {
public:
    explicit Descriptor(Fd fd) noexcept;
    virtual ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int number() const noexcept { return fd_.get(); }
    bool is_closing() const noexcept { return is_closing_; }
    /// Who talks to whom, for messages: "192.0.2.1:80 -> 192.0.2.2:4000".
    virtual std::string describe() const = 0;

    /// The owner's last call. Ends what is in flight with ECANCELED and destroys the descriptor after it: here, or by a
    /// message to the loop that has it in flight. Any thread.
    void close() noexcept;
    /// What is in flight ends with ECANCELED; the descriptor stays. What another loop has in flight goes on.
    void stop_operations() noexcept;
    /// Whether this loop has operations in flight.
    bool is_busy_here() const noexcept;
    /// The kernel lets go at once of what has been sent from a caller's memory: the peer gets a reset. The operation's
    /// own loop.
    void break_connection() noexcept;
    /// A close request has given back the number. The operation's own loop.
    void forget_number() noexcept { static_cast<void>(fd_.release()); }

    /// Whether others, such as the shell that started us, may have it open too: then its O_NONBLOCK is left alone.
    virtual bool is_shared() const noexcept { return false; }

    // The operations' side; their loop.

    /// An epoll set's own: which registration was made for this descriptor; 0: none.
    std::uint64_t watch_ticket() const noexcept { return watch_ticket_; }
    void set_watch_ticket(std::uint64_t ticket) noexcept { watch_ticket_ = ticket; }

    /// Throws RuntimeError when operations of another loop are in flight.
    void link(Op& op, Worker& worker);
    void unlink(Op& op) noexcept;

protected:
    /// The last operation in flight has ended; for a class that has asked for it.
    virtual void became_idle() noexcept {}
    void ask_for_became_idle() noexcept { acts_when_idle_ = true; }

private:
    [[noreturn]] KNIT_NOINLINE static void throw_busy_elsewhere();
    KNIT_NOINLINE void unlink_inner(Op& op) noexcept;
    KNIT_NOINLINE void act_when_idle() noexcept;
    static void run_close(Worker& worker, Work& work) noexcept;
    void close_here() noexcept;

    Fd fd_;
    bool is_closing_ = false;
    bool acts_when_idle_ = false;  ///< is_closing_, or became_idle() is asked for
    std::uint64_t watch_ticket_ = 0;
    Op* last_ = nullptr;  ///< of a ring of the operations in flight; the oldest comes next, and mostly ends first
    /// The loop with operations in flight. That loop writes; a closer on another thread reads [fd.busy].
    Atomic<Worker*> busy_{nullptr};
};

/// What break_connection() does to the socket of that number.
void break_connection_of(int number) noexcept;

/// Owns a Descriptor.
class DescriptorOwner {
public:
    DescriptorOwner() noexcept = default;
    explicit DescriptorOwner(Descriptor* descriptor) noexcept : descriptor_(descriptor) {}
    DescriptorOwner(DescriptorOwner&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
    DescriptorOwner& operator=(DescriptorOwner&& other) noexcept {
        if (this != &other) {
            close();
            descriptor_ = std::exchange(other.descriptor_, nullptr);
        }
        return *this;
    }
    ~DescriptorOwner() { close(); }

    Descriptor* get() const noexcept { return descriptor_; }
    Descriptor* release() noexcept { return std::exchange(descriptor_, nullptr); }
    void close() noexcept {
        if (descriptor_ != nullptr) {
            std::exchange(descriptor_, nullptr)->close();
        }
    }

private:
    Descriptor* descriptor_ = nullptr;
};

}  // namespace knit::detail
