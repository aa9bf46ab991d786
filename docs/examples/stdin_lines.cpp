/// Reads standard input line by line, without blocking the loop: from a terminal, a pipe or (unlike asyncio) a file.
/// In Python:
///
///     async def main():
///         reader = asyncio.StreamReader()
///         loop = asyncio.get_running_loop()
///         await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
///         number = 0
///         async for line in reader:
///             number += 1
///             print(number, line.decode(), end="")
///
///     asyncio.run(main())
#include <cstdio>

#include <knit/knit.hpp>

knit::Coro<> main_coro() {
    knit::StreamReader reader = knit::stdin_stream();
    int number = 0;
    while (auto line = co_await reader.next_line()) {
        number += 1;
        std::printf("%d %s", number, line->c_str());
    }
}

int main() { knit::run(main_coro()); }
