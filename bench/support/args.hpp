/// Args: the options of a small program, `--name value`, `--name=value` or a bare `--flag`.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// Each option is asked for once, by name; finish() then refuses whatever nobody asked for. Every error prints the
/// usage text to stderr and ends the process with status 2, `--help` prints it to stdout and ends with 0.
class Args {
public:
    Args(int argc, char** argv, std::string_view usage) : usage_(usage) {
        for (int i = 1; i < argc; ++i) {
            words_.emplace_back(argv[i]);
        }
        if (flag("--help")) {
            std::printf("%s\n", usage_.c_str());
            std::exit(0);
        }
    }

    /// A whole number from `least` to `most`.
    std::uint64_t number(std::string_view name, std::uint64_t fallback, std::uint64_t least = 0,
                         std::uint64_t most = UINT64_MAX) {
        const std::string word = text(name, "");
        if (word.empty()) {
            return fallback;
        }
        std::uint64_t value = 0;
        const char* const end = word.data() + word.size();
        const auto [rest, error] = std::from_chars(word.data(), end, value);
        if (error != std::errc() || rest != end || value < least || value > most) {
            fail(std::string(name) + "=" + word + ": expected a whole number from " + std::to_string(least) +
                 (most == UINT64_MAX ? " up" : " to " + std::to_string(most)));
        }
        return value;
    }

    std::string text(std::string_view name, std::string_view fallback) {
        for (std::size_t i = 0; i < words_.size(); ++i) {
            const std::string& word = words_[i];
            if (word == name) {
                if (i + 1 == words_.size()) {
                    fail(std::string(name) + " wants a value");
                }
                const std::string value = words_[i + 1];
                remove(i, 2);
                return value;
            }
            if (word.size() > name.size() && word.starts_with(name) && word[name.size()] == '=') {
                const std::string value = word.substr(name.size() + 1);
                remove(i, 1);
                return value;
            }
        }
        return std::string(fallback);
    }

    bool flag(std::string_view name) {
        for (std::size_t i = 0; i < words_.size(); ++i) {
            if (words_[i] == name) {
                remove(i, 1);
                return true;
            }
        }
        return false;
    }

    void finish() {
        if (!words_.empty()) {
            fail("unknown argument " + words_.front());
        }
    }

    [[noreturn]] void fail(const std::string& problem) const {
        std::fprintf(stderr, "error: %s\n%s\n", problem.c_str(), usage_.c_str());
        std::exit(2);
    }

private:
    void remove(std::size_t first, std::size_t count) {
        const auto begin = words_.begin() + static_cast<std::ptrdiff_t>(first);
        words_.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
    }

    std::string usage_;
    std::vector<std::string> words_;
};

}  // namespace bench
