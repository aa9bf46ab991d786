#!/usr/bin/env python3
"""Speaks HTTP/1.1 to http_hello byte by byte: what a load generator does not try. usage: http_check.py SERVER"""
import signal
import socket
import subprocess
import sys

SECONDS_MAX = 10


class Peer:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX)
        self.rest = b""

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, has_body=True):
        """The next answer: (status, headers in lower case, body); None at the end of the stream."""
        while b"\r\n\r\n" not in self.rest:
            if not self.receive():
                return None
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        length = int(headers["content-length"]) if has_body else 0
        while len(self.rest) < length:
            if not self.receive():
                raise SystemExit("the stream ended in a body")
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(first.split()[1]), headers, body

    def receive(self):
        data = self.socket.recv(65536)
        self.rest += data
        return data


def expect(condition, what):
    if not condition:
        raise SystemExit(f"failed: {what}")


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def check_keep_alive(port):
    peer = Peer(port)
    for _ in range(3):
        peer.send(GET)
        status, headers, body = peer.answer()
        expect(status == 200 and body == b"Hello, world!\n" and "date" in headers, "a plain request is answered")


def check_pieces(port):
    peer = Peer(port)
    for byte in GET * 2:
        peer.send(bytes([byte]))
    expect(peer.answer()[0] == 200 and peer.answer()[0] == 200, "a request in pieces is answered")


def check_pipelining(port):
    peer = Peer(port)
    peer.send(GET * 500)
    expect(all(peer.answer()[0] == 200 for _ in range(500)), "500 pipelined requests get 500 answers")


def check_body(port):
    peer = Peer(port)
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + b"G" * 5000 + GET)
    expect(peer.answer()[0] == 200 and peer.answer()[0] == 200, "a body is no request")
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n" + GET)
    expect(peer.answer()[0] == 200 and peer.answer()[0] == 200, "a chunked body is no request")


def check_head(port):
    peer = Peer(port)
    peer.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    expect(peer.answer(has_body=False)[0] == 200, "HEAD is answered without a body")
    expect(peer.answer()[2] == b"Hello, world!\n", "the answer after HEAD's is whole")


def check_close(port):
    peer = Peer(port)
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
    status, headers, _ = peer.answer()
    expect(status == 200 and headers["connection"] == "close", "Connection: close is answered so")
    expect(peer.answer() is None, "nothing comes after Connection: close")


def check_old(port):
    peer = Peer(port)
    peer.send(b"GET / HTTP/1.0\r\n\r\n")
    expect(peer.answer()[1]["connection"] == "close" and peer.answer() is None, "HTTP/1.0 is closed")
    peer = Peer(port)
    for _ in range(2):
        peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        expect(peer.answer()[1]["connection"] == "keep-alive", "HTTP/1.0 is kept when asked")


def check_refusals(port):
    peer = Peer(port)
    peer.send(b"\x00nonsense\r\n\r\n")
    expect(peer.answer()[0] == 400 and peer.answer() is None, "nonsense is refused and closed")
    peer = Peer(port)
    peer.send(GET + b"nonsense\r\n\r\n")
    expect([peer.answer()[0], peer.answer()[0]] == [200, 400], "what came before nonsense is answered")
    peer = Peer(port)
    peer.send(b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"x" * 40000)
    expect(peer.answer()[0] == 431 and peer.answer() is None, "an endless head is refused and closed")


def check_half_close(port):
    peer = Peer(port)
    peer.send(GET)
    peer.socket.shutdown(socket.SHUT_WR)
    expect(peer.answer()[0] == 200 and peer.answer() is None, "a client that only reads on gets its answer")


def main():
    server = subprocess.Popen([sys.argv[1], "--loops", "1"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().split()[1])
        for name, check in sorted(globals().items()):
            if name.startswith("check_"):
                check(port)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=SECONDS_MAX)
        expect(server.returncode == 0, "SIGTERM ends the server with status 0")
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


main()
