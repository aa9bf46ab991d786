"""HTTP hello on asyncio or uvloop, with protocols. As in hello.hpp it only finds where requests without a body end."""
import asyncio
import email.utils
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402

ANSWER = ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n"
          f"Date: {email.utils.formatdate(usegmt=True)}\r\n\r\nHello, world!\n").encode()
counted = [0]


class Hello(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        if self.rest or not data.endswith(b"\r\n\r\n"):
            data = self.rest + data
        requests = data.count(b"\r\n\r\n")
        self.rest = data[data.rfind(b"\r\n\r\n") + 4:] if requests else data
        counted[0] += requests
        self.transport.write(ANSWER * requests)


bench.serve(Hello, bench.options(__doc__, port=0), counted)
