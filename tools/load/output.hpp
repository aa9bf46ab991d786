/// What the load generator says at the end: a line of key=value, JSON, a histogram.
#pragma once

#include <string>

#include "load/plan.hpp"

namespace load {

struct OutputOptions {
    bool shows_histogram = false;
    std::string json;  // a file's name, "-" for stdout instead of the line; empty: none
};

/// Gives the exit status: 1 when a connection failed, or nothing was answered. std::system_error if the file cannot be
/// written.
int print_outcome(const Plan& plan, const Outcome& outcome, const OutputOptions& options);

}  // namespace load
