// deny_io_uring ERROR program arguments...: runs the program where io_uring is denied with that error, EPERM as the
// profiles of container runtimes do, or ENOSYS as an old kernel does.
#include "deny.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

int main(int count, char** arguments) {
    const std::string_view name = count > 2 ? arguments[1] : "";
    if (name != "EPERM" && name != "ENOSYS") {
        std::fprintf(stderr, "usage: deny_io_uring EPERM|ENOSYS program arguments...\n");
        return 125;
    }
    const int error = name == "EPERM" ? EPERM : ENOSYS;
    if (!knit::test::deny({SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}, error)) {
        std::fprintf(stderr, "deny_io_uring: the kernel takes no filter: %s\n", std::strerror(errno));
        return 125;
    }
    execvp(arguments[2], arguments + 2);
    std::fprintf(stderr, "deny_io_uring: %s: %s\n", arguments[2], std::strerror(errno));
    return 126;
}
