/// The program that is run at an edge that fails: echo over TCP, cancelled streams, a file; on one loop or more.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "edge.hpp"
#include "knit/core.hpp"

namespace knit::test {

inline constexpr int kClients = 6;

/// What the tasks of one program saw, whatever their loops.
struct Seen {
    void note(const std::system_error& error) {
        const std::lock_guard lock(mutex);
        codes.insert(error.code().value());
    }
    void count(bool is_whole) {
        const std::lock_guard lock(mutex);
        (is_whole ? whole : broken) += 1;
    }
    void blame(std::string text) {
        const std::lock_guard lock(mutex);
        fault = std::move(text);
    }

    std::mutex mutex;
    std::set<int> codes;
    int whole = 0;  ///< connections and files that carried everything
    int broken = 0;
    std::string fault;
};

/// Runs it and expects what must hold whatever fails: nobody hangs, no descriptor is left, whoever sees an error sees
/// one that was given, connections that saw none carried every byte.
fault::Counts run_with(const fault::Plan& plan, Seen& seen, unsigned loops = 1);

/// As run(), on the driver that the plan is for.
void run_at_edge(const fault::Plan& plan, unsigned loops, Coro<> main);

}  // namespace knit::test
