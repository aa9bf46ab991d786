"""The other side of tests/websocket/talk_test.cpp: the `websockets` of Debian's Python. `serve`, or `connect URL`;
exits with 0 when all was as it should be."""
import asyncio
import sys

import websockets


async def serve():
    closed = asyncio.get_running_loop().create_future()

    async def handle(socket):
        try:
            async for message in socket:
                await socket.send(message)
        except websockets.ConnectionClosedError as error:
            closed.set_result(error.rcvd.code)

    async with websockets.serve(handle, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        assert await closed == 4321


async def connect(url):
    for compression in "deflate", None:
        async with websockets.connect(url, compression=compression, subprotocols=["echo"]) as socket:
            assert socket.subprotocol == "echo"
            for message in "", "h\u00e9llo", "x" * 70_000, bytes(range(256)) * 4000:
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(["in ", "three ", "parts"])
            assert await socket.recv() == "in three parts"
            await asyncio.wait_for(await socket.ping(b"data"), 10)
            await socket.close(1000, "done")
        assert socket.close_code == 1000


asyncio.run(serve() if sys.argv[1] == "serve" else connect(sys.argv[2]))
