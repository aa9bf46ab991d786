// What a task owns, and for how long: parameters and captures until it ends, the result until the last handle goes.

#include "co_test.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

using Token = std::shared_ptr<int>;

Coro<int> holds(Token token) {
    co_await yield();
    co_return *token;
}
Coro<Token> gives(Token token) { co_return token; }
Coro<> fails(Token) {
    co_await yield();
    throw Err("boom");
}
Coro<int> follows(Task<int> before) { co_return co_await before + 1; }

CO_TEST_ON_LOOPS(TaskLife, ParametersEndWithTheTaskWhileItsHandleLives) {
    const Token token = std::make_shared<int>(7);
    const Task<int> here = create_task(holds(token));
    const Task<int> anywhere = spawn(holds(token));
    EXPECT_EQ(co_await here + co_await anywhere, 14);
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_EQ(here.result(), 7);
}

CO_TEST_ON_LOOPS(TaskLife, ParametersOfGatheredTasksEndBeforeTheGatherGoesOn) {
    const Token token = std::make_shared<int>(7);
    const Task<int> kept = spawn(holds(token));
    const auto [a, b, c] = co_await gather(spawn(holds(token)), kept, holds(token));
    EXPECT_EQ(a + b + c, 21);
    EXPECT_EQ(token.use_count(), 1);
}

CO_TEST_ON_LOOPS(TaskLife, ParametersEndWithATaskThatFails) {
    const Token token = std::make_shared<int>(7);
    const Task<> task = spawn(fails(token));
    EXPECT_EQ(co_await got(task), "!Err");
    EXPECT_EQ(token.use_count(), 1);
}

CO_TEST(TaskLife, ParametersEndWithATaskThatIsCancelledBeforeItStarts) {
    const Token token = std::make_shared<int>(7);
    const Task<int> task = create_task(holds(token));
    EXPECT_TRUE(Task<int>(task).cancel());
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_EQ(token.use_count(), 1);
}

CO_TEST_ON_LOOPS(TaskLife, CapturesEndWithTheTask) {
    const Token token = std::make_shared<int>(7);
    auto function = [token = Token(token)]() -> Coro<int> {
        co_await yield();
        co_return *token;
    };
    const Task<int> task = spawn(std::move(function));
    EXPECT_EQ(co_await task, 7);
    EXPECT_EQ(token.use_count(), 1);
}

CO_TEST_ON_LOOPS(TaskLife, TheResultLivesAsLongAsAHandle) {
    Token token = std::make_shared<int>(7);
    const std::weak_ptr<int> watch = token;
    Task<Token> task = spawn(gives(std::move(token)));
    co_await task;
    EXPECT_EQ(watch.use_count(), 1);
    task = {};
    EXPECT_TRUE(watch.expired());
}

CO_TEST(TaskLife, ATaskDoesNotKeepTheTaskBeforeItOnceBothHaveEnded) {
    const Token token = std::make_shared<int>(0);
    auto first = [token = Token(token)]() -> Coro<int> { co_return 0; };
    Task<int> last = create_task(std::move(first));
    for (int i = 0; i < 1000; ++i) {
        last = create_task(follows(last));
    }
    EXPECT_EQ(co_await last, 1000);
    EXPECT_EQ(token.use_count(), 1);
}

/// A parameter that looks around when it ends.
struct Looker {
    explicit Looker(bool& is_task, Token held) : saw_task(&is_task), token(std::move(held)) {}
    Looker(Looker&&) = default;
    ~Looker() {
        if (token != nullptr) {
            *saw_task = current_task().has_value();
            create_task([]() -> Coro<> { co_return; }());
        }
    }
    bool* saw_task;
    Token token;
};
Coro<> looks(Looker) { co_return; }

CO_TEST(TaskLife, AParametersDestructorRunsAsPartOfTheTaskAndMayMakeTasks) {
    bool saw_task = false;
    co_await create_task(looks(Looker(saw_task, std::make_shared<int>(1))));
    EXPECT_TRUE(saw_task);
    saw_task = false;
    co_await gather(spawn(looks(Looker(saw_task, std::make_shared<int>(1)))));
    EXPECT_TRUE(saw_task);
}

std::uint64_t number_of_a_task() {
    return run_one([]() -> Coro<std::uint64_t> {
        const Task<> task = create_task(yield());
        const std::string name = task.name();
        co_await task;
        co_return std::stoull(name.substr(name.find('-') + 1));
    });
}

/// A loop takes its numbers by the thousand, and gives back those that it has not used.
TEST(TaskLife, NumbersGoOnWhereTheRunBeforeHasEnded) {
    const std::uint64_t first = number_of_a_task();
    EXPECT_EQ(number_of_a_task(), first + 2);  // the main comes in between
}

}  // namespace
}  // namespace knit::test
