"""The other side of tests/tls/peers_test.cpp: asyncio's streams over Python's ssl.
`serve CHAIN KEY`, or `connect PORT AUTHORITY`; exits with 0 when all was as it should be."""
import asyncio
import ssl
import sys

MUCH = bytes(range(256)) * 8192


async def serve(chain, key):
    done = asyncio.get_running_loop().create_future()

    async def handle(reader, writer):
        try:
            writer.write(await reader.readline())
            writer.write((await reader.readexactly(len(MUCH)))[::-1])
            writer.close()
            await writer.wait_closed()
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["second", "first"])
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await done
    server.close()
    await server.wait_closed()


async def connect(port, authority):
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(["second", "first"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="server.test")
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "first"
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    writer.write(MUCH)
    assert await reader.readexactly(len(MUCH)) == MUCH[::-1]
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


if sys.argv[1] == "serve":
    asyncio.run(serve(sys.argv[2], sys.argv[3]))
else:
    asyncio.run(connect(int(sys.argv[2]), sys.argv[3]))
