// ExceptionGroup and BaseExceptionGroup by themselves.

#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "groups.hpp"

namespace knit::test {
namespace {

static_assert(std::is_nothrow_copy_constructible_v<ExceptionGroup>);
static_assert(std::is_base_of_v<std::exception, ExceptionGroup>);
static_assert(!std::is_base_of_v<std::exception, BaseExceptionGroup>);
static_assert(std::is_base_of_v<BaseException, BaseExceptionGroup>);

template <class... E>
std::vector<std::exception_ptr> errors(E... each) {
    return {std::make_exception_ptr(std::move(each))...};
}

TEST(ExceptionGroup, CountsItsErrorsInWhat) {
    EXPECT_STREQ(ExceptionGroup("m", errors(Err("a"))).what(), "m (1 sub-exception)\n  knit::test::Err: a");
    EXPECT_STREQ(ExceptionGroup("m", errors(Err("a"), Err2("b"))).what(),
                 "m (2 sub-exceptions)\n  knit::test::Err: a\n  knit::test::Err2: b");
}

TEST(ExceptionGroup, ListsNestedGroupsDeeper) {
    const ExceptionGroup inner("inner", errors(Err("a"), Err("two\nlines")));
    EXPECT_STREQ(ExceptionGroup("outer", errors(inner, Err2("b"))).what(),
                 "outer (2 sub-exceptions)\n"
                 "  knit::ExceptionGroup: inner (2 sub-exceptions)\n"
                 "    knit::test::Err: a\n"
                 "    knit::test::Err: two\n"
                 "    lines\n"
                 "  knit::test::Err2: b");
}

TEST(ExceptionGroup, HoldsTheVeryErrors) {
    const std::exception_ptr error = std::make_exception_ptr(Err("x"));
    const ExceptionGroup group("m", {error});
    EXPECT_EQ(group.errors(), std::vector<std::exception_ptr>{error});
    EXPECT_EQ(group.message(), "m");
    const ExceptionGroup copy = group;
    EXPECT_EQ(&copy.errors(), &group.errors());
}

TEST(ExceptionGroup, NeedsAnError) {
    EXPECT_EQ(call([] { throw ExceptionGroup("m", {}); }), "!ValueError");
    EXPECT_EQ(call([] { throw BaseExceptionGroup("m", {}); }), "!ValueError");
    EXPECT_EQ(call([] { static_cast<void>(make_exception_group("m", {})); }), "!ValueError");
}

TEST(ExceptionGroup, TakesOrdinaryErrorsAlone) {
    EXPECT_EQ(call_message([] { throw ExceptionGroup("m", errors(Err("a"), BaseErr())); }),
              "!TypeError(Cannot nest BaseExceptions in an ExceptionGroup)");
}

TEST(ExceptionGroup, IsMadeOfTheKindThatItsErrorsNeed) {
    EXPECT_EQ(group_text(make_exception_group("m", errors(Err("a"), Err2("b")))), "ExceptionGroup[!Err(a) !Err2(b)]");
    EXPECT_EQ(group_text(make_exception_group("m", errors(Err("a"), BaseErr()))),
              "BaseExceptionGroup[!Err(a) !BaseErr(BaseErr)]");
    EXPECT_EQ(group_text(make_exception_group("m", errors(42))), "BaseExceptionGroup[!unknown()]");
    const BaseExceptionGroup base("inner", errors(BaseErr()));
    EXPECT_EQ(group_text(make_exception_group("m", errors(base))),
              "BaseExceptionGroup[BaseExceptionGroup[!BaseErr(BaseErr)]]");
}

TEST(ExceptionGroup, OfBaseExceptionsPassesOrdinaryHandlers) {
    bool was_ordinary = true;
    try {
        try {
            throw BaseExceptionGroup("m", errors(BaseErr()));
        } catch (const std::exception&) {
            FAIL() << "caught as an ordinary error";
        }
    } catch (const BaseException& error) {
        was_ordinary = false;
        EXPECT_STREQ(error.what(), "m (1 sub-exception)\n  knit::test::BaseErr: BaseErr");
    }
    EXPECT_FALSE(was_ordinary);
}

}  // namespace
}  // namespace knit::test
