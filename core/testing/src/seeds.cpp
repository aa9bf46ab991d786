#include "seeds.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "knit/testing.hpp"

namespace knit::testing {
namespace detail {
namespace {

constexpr const char* kVariable = "KNIT_TEST_SEED";

/// What the command line said.
struct Choice {
    std::optional<std::uint64_t> seed;
    std::optional<std::uint64_t> first;
    std::optional<std::uint64_t> count;
    std::string program;  ///< with the arguments that were not taken; empty: nobody has passed the command line on
    std::function<std::string()> select_test;
};

Choice& choice() {
    static Choice instance;
    return instance;
}

std::uint64_t number(std::string_view text, const std::string& name) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
        throw ValueError(name + " is \"" + std::string(text) + "\": write a number, as the failed test said it");
    }
    return value;
}

/// Takes `argument` when it is one of ours.
bool take(Choice& taken, std::string_view argument) {
    const std::array<std::pair<std::string, std::optional<std::uint64_t>*>, 3> ours = {{
        {"--seed", &taken.seed},
        {"--seeds", &taken.count},
        {"--first", &taken.first},
    }};
    const std::size_t equals = argument.find('=');
    for (const auto& [name, place] : ours) {
        if (argument.substr(0, equals) == name) {
            if (equals == std::string_view::npos) {
                throw ValueError(name + " has no number: write " + name + "=1");
            }
            *place = number(argument.substr(equals + 1), name);
            return true;
        }
    }
    return false;
}

/// As a shell reads it.
std::string quoted(const std::string& word) {
    constexpr std::string_view kPlain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:+,-@%";
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
        return word;
    }
    std::string text = "'";
    for (const char letter : word) {
        text += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
    }
    return text + "'";
}

/// What repeats a failure.
std::string command(std::uint64_t seed) {
    const Choice& made = choice();
    if (made.program.empty()) {
        return kVariable + ("=" + std::to_string(seed));
    }
    const std::string selected = made.select_test ? " " + quoted(made.select_test()) : std::string();
    return made.program + selected + " --seed=" + std::to_string(seed);
}

}  // namespace

const char* seed_text() noexcept { return std::getenv(kVariable); }

}  // namespace detail

void take_seed_arguments(int& count, char** arguments, std::function<std::string()> select_test) {
    detail::Choice made;
    int kept = 0;
    for (int index = 0; index < count; ++index) {
        if (index > 0 && detail::take(made, arguments[index])) {
            continue;
        }
        made.program += (kept > 0 ? " " : "") + detail::quoted(arguments[index]);
        arguments[kept++] = arguments[index];
    }
    if (kept < count) {
        arguments[kept] = nullptr;
    }
    count = kept;
    made.select_test = std::move(select_test);
    detail::choice() = std::move(made);
}

void for_each_seed(std::uint64_t first, std::uint64_t count, const std::function<void(std::uint64_t)>& test) {
    const detail::Choice& made = detail::choice();
    first = made.first.value_or(first);
    count = made.count.value_or(count);
    std::optional<std::uint64_t> alone = made.seed;
    if (const char* const text = detail::seed_text(); text != nullptr && !alone && !made.first && !made.count) {
        alone = detail::number(text, detail::kVariable);
    }
    if (alone) {
        first = *alone;
        count = 1;
    }
    for (std::uint64_t seed = first; seed - first < count; ++seed) {
        try {
            test(seed);
        } catch (...) {
            std::fprintf(stderr, "seed %llu failed; this repeats it: %s\n", static_cast<unsigned long long>(seed),
                         detail::command(seed).c_str());
            throw;
        }
    }
}

}  // namespace knit::testing
