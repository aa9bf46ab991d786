/// What a server knows of a connection: Admission, that it counts; Connection, how it is ended from outside.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "knit/detail/base.hpp"
#include "knit/task.hpp"
#include "loop_load.hpp"

namespace knit::detail {

class ServerState;
class Worker;

/// A connection that has been let in: it counts, for its server and for a loop, as long as this lives. Move-only.
class Admission {
public:
    Admission(Admission&& other) noexcept
        : state_(std::move(other.state_)), loop_(std::exchange(other.loop_, nullptr)), epoch_(other.epoch_) {}
    Admission& operator=(Admission&&) = delete;
    ~Admission();

    ServerState& state() const noexcept { return *state_; }
    /// The loop that it counts for.
    Worker& loop() const noexcept { return *loop_; }

private:
    friend class ServerState;
    friend class Connection;
    /// ServerState::admit() has counted it.
    Admission(std::shared_ptr<ServerState> state, Worker& loop, std::uint32_t epoch) noexcept;
    void move_to(Worker& loop) noexcept;
    /// Of loop(), which may have ended.
    LoopLoad& load() const noexcept;

    std::shared_ptr<ServerState> state_;
    Worker* loop_;
    std::uint32_t epoch_;  ///< how often the server had ended its connections when this one came
};

/// A connection that has begun: close_clients() and abort_clients() find it. A class of one's own, final, derives from
/// it, calls begin() on its loop, and end() as the first thing in its destructor.
class Connection {
public:
    enum class End {
        close,    ///< as if its own code had closed it: what it has to send is sent
        give_up,  ///< the time for that is over
        abort     ///< with a reset
    };
    /// Ends the connection; the first of its actions is to find out whether that is still there. Any thread.
    using Ender = std::function<void(End)>;

    explicit Connection(Admission admission) noexcept : admission_(std::move(admission)) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    const Admission& admission() const noexcept { return admission_; }
    ServerState& state() const noexcept { return admission_.state(); }

protected:
    ~Connection() { KNIT_ASSERT(!is_listed_); }

    /// False when it is not to begin any more: all connections were ended while it came. Its loop.
    [[nodiscard]] bool begin() noexcept;
    /// The same for a connection that is `task`, and moves with it.
    [[nodiscard]] bool list_task(TaskRef task) noexcept {
        task_ = std::move(task);
        return begin();
    }
    void end() noexcept;
    /// After end(): it counts on, for what follows.
    Admission take_admission() noexcept { return std::move(admission_); }
    /// Its server has ended its connections since it came, this one too.
    bool is_outdated() const noexcept;
    const TaskRef& task() const noexcept { return task_; }

private:
    friend class ServerState;
    friend struct Rehome;

    /// Under the lock of the loop's list, on any thread: neither locks nor ends anything.
    virtual Ender ender() = 0;
    /// Under the locks of both loops' lists.
    void move_to(Worker& loop) noexcept;
    void list() noexcept;
    void unlist() noexcept;

    Admission admission_;
    TaskRef task_;  ///< empty for one that is no task
    Connection* next_ = nullptr;
    Connection* previous_ = nullptr;
    bool is_listed_ = false;
};

}  // namespace knit::detail
