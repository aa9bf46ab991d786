#include "platform.hpp"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <gtest/gtest.h>

namespace knit::detail {
namespace {

/// A tree of files that stands for /proc and /sys.
class CgroupQuota : public ::testing::Test {
protected:
    CgroupQuota() {
        std::string name = (std::filesystem::temp_directory_path() / "knit-cgroup-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) {
            throw std::system_error(errno, std::generic_category(), "mkdtemp");
        }
        root_ = name;
    }
    ~CgroupQuota() override { std::filesystem::remove_all(root_); }

    void file(const std::string& path, const std::string& text) const {
        const std::filesystem::path whole = root_ + path;
        std::filesystem::create_directories(whole.parent_path());
        std::ofstream(whole) << text;
    }
    /// One hierarchy, which shows `shown` of it, and the cgroup that this process is in.
    void mount(const std::string& shown, const std::string& type, const std::string& own) const {
        file("/proc/self/mountinfo", "22 1 0:1 / /proc rw - proc proc rw\n30 1 0:2 " + shown +
                                         " /sys/fs/cgroup rw,nosuid shared:1 - " + type + "\n");
        file("/proc/self/cgroup", own + "\n");
    }
    double quota() const { return cgroup_cpu_quota_under(root_); }

private:
    std::string root_;
};

TEST_F(CgroupQuota, IsNoneWhereNothingIsKnown) { EXPECT_EQ(0, quota()); }

TEST_F(CgroupQuota, IsThatOfTheOwnCgroup) {
    mount("/", "cgroup2 none rw", "0::/shop/server");
    file("/sys/fs/cgroup/shop/server/cpu.max", "150000 100000\n");
    EXPECT_EQ(1.5, quota());
    file("/sys/fs/cgroup/shop/server/cpu.max", "max 100000\n");
    EXPECT_EQ(0, quota());
}

TEST_F(CgroupQuota, IsTheStrictestOfTheParentsToo) {
    mount("/", "cgroup2 none rw", "0::/shop/server");
    file("/sys/fs/cgroup/shop/server/cpu.max", "400000 100000\n");
    file("/sys/fs/cgroup/shop/cpu.max", "200000 100000\n");
    EXPECT_EQ(2, quota());
    file("/sys/fs/cgroup/shop/cpu.max", "800000 100000\n");
    EXPECT_EQ(4, quota());
}

TEST_F(CgroupQuota, IsFoundUnderTheOldHierarchies) {
    mount("/", "cgroup cgroup rw,cpu,cpuacct", "3:cpuset:/other\n4:cpu,cpuacct:/shop");
    file("/sys/fs/cgroup/shop/cpu.cfs_period_us", "50000\n");
    file("/sys/fs/cgroup/shop/cpu.cfs_quota_us", "25000\n");
    EXPECT_EQ(0.5, quota());
    file("/sys/fs/cgroup/shop/cpu.cfs_quota_us", "-1\n");
    EXPECT_EQ(0, quota());
}

TEST_F(CgroupQuota, IsFoundWhereAContainerSeesTheHostsPath) {
    mount("/docker/a1", "cgroup2 none rw", "0::/docker/a1/inner");
    file("/sys/fs/cgroup/inner/cpu.max", "300000 100000\n");
    EXPECT_EQ(3, quota());
    file("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    EXPECT_EQ(1, quota());
}

TEST_F(CgroupQuota, IsFoundWhereTheMountPointHasASpace) {
    file("/proc/self/mountinfo", R"(30 1 0:2 /a\134b /mnt/my\040groups rw - cgroup2 none rw)" "\n");
    file("/proc/self/cgroup", "0::/a\\b/inner\n");
    file("/mnt/my groups/inner/cpu.max", "200000 100000\n");
    EXPECT_EQ(2, quota());
}

TEST_F(CgroupQuota, TakesNoOtherCgroupForAParentBecauseItsNameBeginsAlike) {
    mount("/docker/a", "cgroup2 none rw", "0::/docker/a1");
    file("/sys/fs/cgroup1/cpu.max", "100000 100000\n");
    EXPECT_EQ(0, quota());
}

}  // namespace
}  // namespace knit::detail
