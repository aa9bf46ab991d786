/// communicate() gives a program its input, and takes its output to the end. In Python:
///
///     async def shout(text):
///         process = await asyncio.create_subprocess_exec("tr", "a-z", "A-Z", stdin=PIPE, stdout=PIPE)
///         out, _ = await process.communicate(text.encode())
///         return out.decode()
///
///     async def fail():
///         process = await asyncio.create_subprocess_shell("echo sorry >&2; exit 3", stderr=PIPE)
///         _, err = await process.communicate()
///         print(f"ended with {process.returncode}: {err.decode()}", end="")
///
///     async def main():
///         print(*await asyncio.gather(shout("hello"), shout("world")))
///         await fail()
///
///     asyncio.run(main())
#include <cstdio>
#include <string>
#include <vector>

#include <knit/knit.hpp>

knit::Coro<std::string> shout(std::string text) {
    std::vector<std::string> argv = {"tr", "a-z", "A-Z"};
    knit::ProcessOptions options = {.in = knit::PIPE, .out = knit::PIPE};
    knit::Process process = co_await knit::create_subprocess_exec(argv, options);
    knit::ProcessOutput output = co_await process.communicate(text);
    co_return output.out.value();
}

knit::Coro<> fail() {
    const std::string command = "echo sorry >&2; exit 3";
    knit::ProcessOptions options = {.err = knit::PIPE};
    knit::Process process = co_await knit::create_subprocess_shell(command, options);
    const knit::ProcessOutput output = co_await process.communicate();
    std::printf("ended with %d: %s", process.returncode().value(), output.err.value().c_str());
}

knit::Coro<> main_coro() {
    auto [first, second] = co_await knit::gather(shout("hello"), shout("world"));
    std::printf("%s %s\n", first.c_str(), second.c_str());
    co_await fail();
}

int main() { knit::run(main_coro()); }
