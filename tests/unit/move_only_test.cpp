#include <array>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "co_test.hpp"
#include "groups.hpp"

namespace knit::test {
namespace {

// std::vector says that it can be copied whatever it holds.
CO_TEST(MoveOnly, ContainersAreResultsToo) {
    using Number = std::unique_ptr<int>;
    const auto make = [](int value) -> Coro<Number> { co_return std::make_unique<int>(value); };
    const auto make_several = []() -> Coro<std::vector<Number>> {
        std::vector<Number> several;
        several.push_back(std::make_unique<int>(3));
        co_return several;
    };
    std::vector<Coro<Number>> makers;
    makers.push_back(make(1));
    const std::vector<Number> all = co_await gather(std::move(makers));
    EXPECT_EQ(*all.at(0), 1);
    std::vector<Coro<Number>> others;
    others.push_back(make(2));
    std::vector<Result<Number>> results = co_await gather(return_exceptions, std::move(others));
    EXPECT_EQ(*results.at(0).value(), 2);
    const std::vector<Number> shielded = co_await shield(make_several());
    EXPECT_EQ(*shielded.at(0), 3);
    Task<std::vector<Number>> task = spawn(make_several());
    const std::vector<Number> taken = co_await task;
    EXPECT_EQ(*taken.at(0), 3);
    static_assert(detail::kIsCopyable<std::vector<std::pair<int, std::optional<std::string>>>>);
    static_assert(!detail::kIsCopyable<std::optional<std::tuple<int, std::array<std::vector<Number>, 2>>>>);
}

}  // namespace
}  // namespace knit::test
