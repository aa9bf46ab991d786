// pingpong by hand on liburing: two threads that sleep in a ring each and wake one another by messages. Nothing but the
// two wakes, which no runtime can spare when both its loops sleep.
#include <liburing.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <thread>

#include "workloads/pingpong/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::pingpong;

void check(int result, const char* what) {
    if (result < 0) {
        errno = -result;
        std::perror(what);
        std::exit(1);
    }
}

/// A ring of the thread that makes it.
struct Side {
    Side() {
        check(io_uring_queue_init(8, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN),
              "error: io_uring_queue_init");
    }
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;
    ~Side() { io_uring_queue_exit(&ring); }

    /// Queued; goes out with the wait that follows, or with flush().
    void send(int target, std::uint64_t value) {
        io_uring_sqe* const sqe = io_uring_get_sqe(&ring);
        io_uring_prep_msg_ring(sqe, target, 0, value, 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }

    std::uint64_t receive() {
        check(io_uring_submit_and_wait(&ring, 1), "error: io_uring_submit_and_wait");
        io_uring_cqe* cqe = nullptr;
        check(io_uring_wait_cqe(&ring, &cqe), "error: io_uring_wait_cqe");
        check(cqe->res, "error: msg_ring");
        const std::uint64_t value = cqe->user_data;
        io_uring_cqe_seen(&ring, cqe);
        return value;
    }

    void flush() { check(io_uring_submit(&ring), "error: io_uring_submit"); }

    io_uring ring;
};

void answer_all(std::latch& is_open, int& own, int target, std::uint64_t trips) {
    Side side;
    own = side.ring.ring_fd;
    is_open.count_down();
    for (std::uint64_t trip = 0; trip < trips; ++trip) {
        const std::uint64_t value = side.receive();
        side.send(target, value + 1);
    }
    side.flush();
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: pingpong_uring [--trips N] [--loops 2]");
    const std::uint64_t trips = args.number("--trips", problem::kTrips, 1);
    args.number("--loops", 2, 2, 2);
    args.finish();
    Side side;
    std::latch is_open(1);
    int other = -1;
    std::thread thread([&] { answer_all(is_open, other, side.ring.ring_fd, trips); });
    is_open.wait();
    std::uint64_t value = 0;
    const bench::Stopwatch watch;
    for (std::uint64_t trip = 0; trip < trips; ++trip) {
        side.send(other, value + 1);
        value = side.receive();
    }
    const double seconds = watch.seconds();
    thread.join();
    return bench::print_report(
        {"pingpong", 2, trips, static_cast<std::int64_t>(value), problem::expected(trips), seconds});
}
