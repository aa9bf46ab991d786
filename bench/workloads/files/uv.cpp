// files on libuv: uv_fs_read(), which its pool of threads carries out.
#include <uv.h>

#include <cstring>
#include <string>
#include <vector>

#include "workloads/files/case.hpp"

#include "support/args.hpp"
#include "support/report.hpp"

namespace {

namespace problem = bench::files;

struct Plan {
    int descriptor;
    std::uint64_t tasks;
    std::uint64_t reads;
    std::int64_t sum;
};

struct Reader {
    uv_fs_t request;
    Plan* plan;
    std::uint64_t number;
    char block[problem::kBlock];
};

void read_next(Reader& reader) {
    uv_buf_t buffer = uv_buf_init(reader.block, sizeof reader.block);
    const auto offset = static_cast<std::int64_t>(problem::block_of(reader.number) * problem::kBlock);
    reader.request.data = &reader;
    uv_fs_read(uv_default_loop(), &reader.request, reader.plan->descriptor, &buffer, 1, offset, [](uv_fs_t* request) {
        auto& self = *static_cast<Reader*>(request->data);
        std::int64_t head = 0;
        std::memcpy(&head, self.block, sizeof head);
        self.plan->sum += request->result == static_cast<ssize_t>(problem::kBlock) ? head : -1;
        uv_fs_req_cleanup(request);
        self.number += self.plan->tasks;
        if (self.number < self.plan->reads) {
            read_next(self);
        }
    });
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, "usage: files_uv [--reads N] [--tasks N] [--loops N (threads of the pool)]");
    const std::uint64_t reads = args.number("--reads", problem::kReads, 1, 1'000'000'000);
    const std::uint64_t tasks = args.number("--tasks", problem::kTasks, 1, 100'000);
    const auto loops = static_cast<unsigned>(args.number("--loops", 1, 1, 128));
    args.finish();
    setenv("UV_THREADPOOL_SIZE", std::to_string(loops).c_str(), 1);
    Plan plan{problem::make_file(), tasks, reads, 0};
    const bench::Stopwatch watch;
    std::vector<Reader> readers(tasks);
    for (std::uint64_t first = 0; first < tasks && first < reads; ++first) {
        readers[first].plan = &plan;
        readers[first].number = first;
        read_next(readers[first]);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return bench::print_report({"files", loops, reads, plan.sum, problem::expected(reads), watch.seconds()});
}
