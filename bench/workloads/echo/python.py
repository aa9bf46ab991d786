"""Echo server on asyncio or uvloop, with protocols, which are their fastest form."""
import asyncio
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402

counted = [0]


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        counted[0] += 1
        self.transport.write(data)


bench.serve(Echo, bench.options(__doc__, port=0), counted)
