"""The other side of tests/io/stream_python_test.cpp: asyncio's streams. `serve`, or `connect PORT`; exits with 0 when
all was as it should be."""
import asyncio
import sys

MUCH = bytes(range(256)) * 8192


async def answer(reader, writer):
    """Echoes one line, then all that comes up to the end, in capitals."""
    writer.write(await reader.readline())
    await writer.drain()
    assert await reader.readexactly(4) == b"\0\1\2\3"
    data = await reader.read()
    writer.write(data.swapcase())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve():
    done = asyncio.Event()

    async def handle(reader, writer):
        await answer(reader, writer)
        done.set()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await done.wait()
    server.close()
    await server.wait_closed()


async def connect(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    writer.write(b"\0\1\2\3")
    reading = asyncio.create_task(reader.read())
    for start in range(0, len(MUCH), 10_000):
        writer.write(MUCH[start:start + 10_000])
        await writer.drain()
    writer.write_eof()
    assert await reading == MUCH.swapcase()
    writer.close()
    await writer.wait_closed()


async def main():
    await asyncio.wait_for(serve() if sys.argv[1] == "serve" else connect(int(sys.argv[2])), 40)


asyncio.run(main())
