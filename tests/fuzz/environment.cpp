// Fuzzes the environment: a line each is NAME=value. What is taken, is within its limits, and is the same when what it
// resolved to is put into the environment; what is refused is a ValueError that says what would be taken.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knit/error.hpp"
#include "knit/options.hpp"

namespace {

/// What resolve() makes of a whole environment, or nothing where it refuses.
std::vector<knit::EffectiveSetting> read(const std::vector<std::pair<std::string, std::string>>& variables) {
    ::clearenv();
    for (const auto& [name, value] : variables) {
        ::setenv(name.c_str(), value.c_str(), 1);
    }
    try {
        const knit::detail::Settings settings = knit::detail::resolve({});
        if (settings.loops == 0 || settings.loops > 1024 || settings.ring_entries < 8 ||
            settings.ring_entries > 32768) {
            std::abort();
        }
        return knit::detail::effective_settings({});
    } catch (const knit::ValueError& error) {
        const std::string_view text = error.what();
        if (text.find("expected ") == std::string_view::npos && text.find("knit reads: ") == std::string_view::npos) {
            std::abort();
        }
        return {};
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    std::vector<std::pair<std::string, std::string>> variables;
    while (!bytes.empty() && variables.size() < 16) {
        const std::string_view line = bytes.substr(0, bytes.find('\n'));
        bytes.remove_prefix(std::min(bytes.size(), line.size() + 1));
        const std::size_t equals = line.find('=');
        if (equals != 0 && equals != std::string_view::npos && line.find('\0') == std::string_view::npos) {
            variables.emplace_back(line.substr(0, equals), line.substr(equals + 1));
        }
    }
    const std::vector<knit::EffectiveSetting> settings = read(variables);
    if (settings.empty()) {
        return 0;
    }
    std::vector<std::pair<std::string, std::string>> shown;
    for (const knit::EffectiveSetting& setting : settings) {
        if (setting.source == "environment") {
            shown.emplace_back(setting.variable, setting.value);
        }
    }
    const std::vector<knit::EffectiveSetting> again = read(shown);
    if (again.size() != settings.size()) {
        std::abort();
    }
    for (std::size_t index = 0; index < again.size(); ++index) {
        if (again[index].value != settings[index].value) {
            std::abort();
        }
    }
    return 0;
}
