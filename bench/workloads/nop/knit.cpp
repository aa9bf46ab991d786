// nop on knit: 64 tasks, each of which awaits one request after another.
#include <knit/knit.hpp>
#include <liburing.h>
#include <sys/eventfd.h>

#include <vector>

#include "workloads/nop/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::nop;

/// An operation like those of knit's own sockets and files. It belongs to a descriptor, which it leaves alone.
class Nop final : public knit::detail::Op {
public:
    explicit Nop(const knit::detail::DescriptorOwner& owner) noexcept : Op(owner) {}

    bool await_ready() noexcept { return !attach(); }
    int await_resume() { return take_result("nop"); }

private:
    void prepare(io_uring_sqe& sqe) noexcept override { io_uring_prep_nop(&sqe); }
    bool absorb(int result) noexcept override {
        result_ = result;
        return true;
    }
};

knit::Coro<std::int64_t> repeat(const knit::detail::DescriptorOwner& owner, std::uint64_t operations) {
    std::int64_t completed = 0;
    for (std::uint64_t i = 0; i < operations; ++i) {
        completed += co_await Nop(owner) == 0 ? 1 : 0;
    }
    co_return completed;
}

knit::Coro<std::int64_t> repeat_all(std::uint64_t operations) {
    using knit::detail::Fd;
    using knit::detail::FileDescriptor;
    const knit::detail::DescriptorOwner owner(new FileDescriptor(Fd(eventfd(0, EFD_CLOEXEC)), "nop"));
    std::vector<knit::Task<std::int64_t>> tasks;
    for (std::uint64_t i = 0; i < problem::kAtOnce; ++i) {
        const std::uint64_t share = operations / problem::kAtOnce + (i < operations % problem::kAtOnce ? 1 : 0);
        tasks.push_back(knit::create_task(repeat(owner, share)));
    }
    std::int64_t completed = 0;
    for (const std::int64_t one : co_await knit::gather(std::move(tasks))) {
        completed += one;
    }
    co_return completed;
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: nop_knit [--operations N] [--loops 1]");
    const std::uint64_t operations = args.number("--operations", problem::kOperations, 1, 1'000'000'000);
    args.number("--loops", 1, 1, 1);
    args.finish();
    knit::Runtime runtime({.loops = 1, .driver = knit::DriverKind::uring});
    const bench::Stopwatch watch;
    const std::int64_t completed = runtime.run_until_complete(repeat_all(operations));
    return bench::print_report(
        {"nop", 1, operations, completed, static_cast<std::int64_t>(operations), watch.seconds()});
}
