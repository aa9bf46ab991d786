// What a runtime says about itself when it starts.

#include "knit/start_up_report.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <string>

#include <nlohmann/json.hpp>

#include "io_test.hpp"

namespace knit::test {
namespace {

const EffectiveSetting& setting(const StartUpReport& report, const std::string& variable) {
    const auto found = std::ranges::find(report.settings, variable, &EffectiveSetting::variable);
    EXPECT_NE(report.settings.end(), found) << variable;
    return *found;
}

TEST(StartUpReport, TellsTheDriverTheCpusAndTheSettings) {
    RunOptions options;
    options.loops = 1;
    options.driver = DriverKind::epoll;
    const Runtime runtime(options);
    const StartUpReport& report = runtime.start_up_report();
    EXPECT_EQ("epoll", report.driver.name);
    EXPECT_EQ(0U, report.driver.entries);
    EXPECT_NE(std::string::npos, report.driver.reason.find("KNIT_DRIVER")) << report.driver.reason;
    EXPECT_TRUE(report.kernel.starts_with("Linux ")) << report.kernel;
    EXPECT_EQ(1U, report.loops);
    EXPECT_EQ("RunOptions::loops", report.loops_limited_by);
    EXPECT_FALSE(report.allowed_cpus.empty());
    EXPECT_GT(report.descriptors.soft, 0U);
    EXPECT_EQ("epoll", setting(report, "KNIT_DRIVER").value);
    EXPECT_EQ("RunOptions::driver", setting(report, "KNIT_DRIVER").source);
    EXPECT_EQ("default", setting(report, "KNIT_BUDGET").source);
}

TEST(StartUpReport, SaysWhatTheNumberOfLoopsComesFrom) {
    const StartUpReport report = detail::make_start_up_report({}, {});
    EXPECT_NE("RunOptions::loops", report.loops_limited_by);
    EXPECT_FALSE(report.loops_limited_by.empty());
}

TEST(StartUpReport, NamesTheCommandThatRaisesWhatIsShort) {
    rlimit before{};
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    const rlimit low{std::min<rlim_t>(1000, before.rlim_cur), before.rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
    const StartUpReport report = detail::make_start_up_report({}, {});
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    EXPECT_EQ(low.rlim_cur, report.descriptors.soft);
    ASSERT_FALSE(report.advice.empty());
    EXPECT_NE(std::string::npos, report.advice.front().find("ulimit -n ")) << report.advice.front();
    EXPECT_NE(std::string::npos, report.to_text().find("\nshort          descriptors: ")) << report.to_text();
}

TEST(StartUpReport, IsTextForPeople) {
    StartUpReport report;
    report.driver = {"io_uring", "the kernel grants it", 256, {"CQSIZE", "CLAMP"}, {"DEFER_TASKRUN"}};
    report.kernel = "Linux 5.15.0 x86_64";
    report.loops = 2;
    report.loops_limited_by = "the cgroup's CPU quota of 1.5";
    report.allowed_cpus = {0, 1, 2, 3};
    report.cgroup_quota = 1.5;
    report.descriptors = {1024, LimitReport::kNoLimit};
    report.locked_memory = {65536, 65536};
    report.advice = {"buy more"};
    report.settings = {{"KNIT_LOOPS", "loops", "2", "default"}};
    EXPECT_EQ(
        "knit: start-up report\n"
        "driver         io_uring: the kernel grants it\n"
        "ring           256 entries, flags CQSIZE|CLAMP, refused by this kernel: DEFER_TASKRUN\n"
        "kernel         Linux 5.15.0 x86_64\n"
        "loops          2, from the cgroup's CPU quota of 1.5; affinity 4 CPUs, cgroup quota 1.5\n"
        "descriptors    1024 (hard limit unlimited)\n"
        "locked memory  65536 (hard limit 65536)\n"
        "short          buy more\n"
        "KNIT_LOOPS              2               default\n",
        report.to_text());
}

TEST(StartUpReport, IsJsonThatParses) {
    StartUpReport report;
    report.driver = {"epoll", "because \"seccomp\"\n\xff", 0, {}, {}};
    report.allowed_cpus = {0, 2};
    report.descriptors = {1024, LimitReport::kNoLimit};
    report.settings = {{"KNIT_LOOPS", "loops", "2", "default"}};
    const auto json = nlohmann::json::parse(report.to_json());
    EXPECT_EQ("epoll", json["driver"]["name"]);
    EXPECT_TRUE(json["driver"]["reason"].get<std::string>().starts_with("because \"seccomp\"\n"));
    EXPECT_EQ(1024U, json["descriptors"]["soft"]);
    EXPECT_TRUE(json["descriptors"]["hard"].is_null());
    EXPECT_TRUE(json["cgroup_quota"].is_null());
    EXPECT_EQ(2U, json["allowed_cpus"][1]);
    EXPECT_EQ("KNIT_LOOPS", json["settings"][0]["variable"]);
    EXPECT_EQ("default", json["settings"][0]["source"]);
}

}  // namespace
}  // namespace knit::test
