/// files: many tasks read blocks of a file that is in the page cache, each block by an operation of its own. What is
/// measured is the way to the kernel and back, not a disk.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace bench::files {

inline constexpr std::size_t kBlock = 4096;
inline constexpr std::uint64_t kBlocks = 4096;
inline constexpr std::uint64_t kReads = 200'000;
inline constexpr std::uint64_t kTasks = 64;

/// Which block the read of that number takes: all over the file.
constexpr std::uint64_t block_of(std::uint64_t number) { return number * 2'654'435'761 % kBlocks; }

/// Each block begins with its number.
constexpr std::int64_t expected(std::uint64_t reads) {
    std::int64_t sum = 0;
    for (std::uint64_t number = 0; number < reads; ++number) {
        sum += static_cast<std::int64_t>(block_of(number));
    }
    return sum;
}

/// A file of kBlocks blocks without a name, open for reading; gone when it is closed.
inline int make_file() {
    char name[] = "/tmp/knit-bench-XXXXXX";
    const int descriptor = mkstemp(name);
    if (descriptor < 0 || unlink(name) != 0) {
        std::perror("error: mkstemp");
        std::exit(1);
    }
    std::vector<std::uint64_t> block(kBlock / sizeof(std::uint64_t));
    for (std::uint64_t number = 0; number < kBlocks; ++number) {
        block[0] = number;
        if (write(descriptor, block.data(), kBlock) != static_cast<ssize_t>(kBlock)) {
            std::perror("error: write");
            std::exit(1);
        }
    }
    return descriptor;
}

}  // namespace bench::files
