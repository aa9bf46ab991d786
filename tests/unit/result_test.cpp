// Result: a value or an exception.

#include "co_test.hpp"

#include <memory>
#include <string>
#include <utility>

namespace knit::test {
namespace {

TEST(Result, HoldsAValue) {
    Result<int> result(3);
    EXPECT_TRUE(result.has_value());
    EXPECT_TRUE(static_cast<bool>(result));
    EXPECT_EQ(result.value(), 3);
    EXPECT_EQ(result.error(), nullptr);
    EXPECT_EQ(result.value_or(4), 3);
    result.value() = 5;
    EXPECT_EQ(std::as_const(result).value(), 5);
    EXPECT_EQ(call([&] { result.rethrow(); }), "!InvalidStateError");
}

TEST(Result, HoldsAnException) {
    const auto error = std::make_exception_ptr(Err("x"));
    const Result<int> result(error);
    EXPECT_FALSE(result.has_value());
    EXPECT_FALSE(static_cast<bool>(result));
    EXPECT_EQ(result.error(), error);
    EXPECT_EQ(result.value_or(4), 4);
    EXPECT_EQ(call_message([&] { return result.value(); }), "!Err(x)");
    EXPECT_EQ(call_message([&] { result.rethrow(); }), "!Err(x)");
}

TEST(Result, MovesAMoveOnlyValueOut) {
    Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
    const std::unique_ptr<int> value = std::move(result).value();
    EXPECT_EQ(*value, 7);
    Result<std::unique_ptr<int>> failed(std::make_exception_ptr(Err()));
    EXPECT_EQ(std::move(failed).value_or(nullptr), nullptr);
}

TEST(Result, OfVoidIsAValueOrAnException) {
    const Result<> good;
    good.value();
    EXPECT_TRUE(good.has_value());
    EXPECT_EQ(good.error(), nullptr);
    const Result<> bad(std::make_exception_ptr(Err("v")));
    EXPECT_FALSE(static_cast<bool>(bad));
    EXPECT_EQ(call_message([&] { bad.value(); }), "!Err(v)");
    EXPECT_EQ(call_message([&] { bad.rethrow(); }), "!Err(v)");
}

TEST(Unit, IsEqualToEveryOther) { EXPECT_EQ(Unit{}, Unit{}); }

TEST(Errors, BelongToTheClassesThatTheyPromise) {
    static_assert(std::is_base_of_v<std::invalid_argument, ValueError>);
    static_assert(std::is_base_of_v<std::logic_error, TypeError>);
    static_assert(std::is_base_of_v<std::out_of_range, LookupError>);
    static_assert(std::is_base_of_v<std::runtime_error, TimeoutError>);
    static_assert(std::is_base_of_v<std::runtime_error, InvalidStateError>);
    static_assert(std::is_base_of_v<BaseException, KeyboardInterrupt>);
    static_assert(!std::is_base_of_v<std::exception, BaseException>);
    EXPECT_STREQ(CancelledError().what(), "CancelledError");
    EXPECT_EQ(CancelledError("m").message(), "m");
    EXPECT_STREQ(BaseErr().what(), "BaseErr");
}

}  // namespace
}  // namespace knit::test
