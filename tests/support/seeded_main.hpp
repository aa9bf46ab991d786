/// The main() of test programs that take --seed=N, --seeds=N and --first=N (knit/testing.hpp).
#pragma once

namespace knit::test {

/// As main() did at the start: for a test that has passed another command line on.
void take_seeds_of_command_line();

}  // namespace knit::test
