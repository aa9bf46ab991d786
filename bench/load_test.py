#!/usr/bin/env python3
"""Tests the load generator: its options, what it prints, and that a stall of the server is not left out of the latency.

usage: load_test.py LOAD ECHO_SERVER
"""
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SERVER, LOAD = sys.argv.pop(), sys.argv.pop()
STALL = 0.3


def run_load(*arguments):
    return subprocess.run([LOAD, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=40, check=False)


class FakeServer:
    """One connection after another on a thread, handled by a function of a socket."""

    def __init__(self, handle):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, args=(handle,), daemon=True)
        self.thread.start()

    def serve(self, handle):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    handle(connection)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


def echo_with_a_stall(connection):
    """Echoes, but after the twentieth message does nothing for a while."""
    for number in range(1_000_000):
        data = connection.recv(4096)
        if not data:
            return
        if number == 20:
            time.sleep(STALL)
        connection.sendall(data)


class LoadTest(unittest.TestCase):
    def test_json_has_what_the_line_has_and_a_histogram(self):
        with subprocess.Popen([SERVER, "--loops", "1"], stdout=subprocess.PIPE, text=True) as server, \
                tempfile.TemporaryDirectory() as folder:
            try:
                port = server.stdout.readline().split()[1]
                path = pathlib.Path(folder) / "load.json"
                ended = run_load("--port", port, "--requests", 100, "--connections", 5, "--histogram", "--json", path)
                alone = run_load("--port", port, "--requests", 100, "--connections", 5, "--json", "-")
            finally:
                server.send_signal(signal.SIGTERM)
            self.assertEqual((ended.returncode, alone.returncode), (0, 0))
            said, seen = ended.stdout.splitlines(), json.loads(path.read_text())
        self.assertIn("requests=100 errors=0", said[-1])
        self.assertIn("up to us", said[0])
        self.assertEqual(seen["requests"], 100)
        self.assertEqual(sum(count for _, count in seen["histogram_us"]), 100)
        self.assertEqual(json.loads(alone.stdout)["requests"], 100)

    def test_with_a_rate_a_stall_counts_for_all_that_were_due_meanwhile(self):
        with FakeServer(echo_with_a_stall) as server:
            ended = run_load("--port", server.port, "--connections", 1, "--requests", 100, "--rate", 200, "--json", "-")
        seen = json.loads(ended.stdout)
        self.assertEqual(seen["loop"], "open")
        # At 200 a second 30 of the 100 were due in the stall's first half. Sent one by one, a single one would be slow.
        self.assertGreater(seen["p90_us"], STALL * 1e6 / 2)

    def test_a_wrong_answer_is_an_error(self):
        with FakeServer(lambda connection: connection.sendall(connection.recv(4096).upper())) as server:
            ended = run_load("--port", server.port, "--connections", 1, "--requests", 1)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("what came back is not what was sent", ended.stderr)

    def test_an_answer_that_belongs_to_an_earlier_message_is_an_error(self):
        def repeat_the_first(connection):
            first = connection.recv(4096)
            connection.sendall(first)
            while connection.recv(4096):
                connection.sendall(first)
        with FakeServer(repeat_the_first) as server:
            ended = run_load("--port", server.port, "--connections", 1, "--requests", 2)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("what came back is not what was sent", ended.stderr)

    def test_another_body_than_expected_is_an_error(self):
        def answer(connection):
            while connection.recv(4096):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello")
        for body, status in (("Hello", 0), ("hello", 1), ("Hello!", 1)):
            with FakeServer(answer) as server:
                ended = run_load("--port", server.port, "--mode", "http", "--connections", 1, "--requests", 3,
                                 "--expect", body)
            self.assertEqual(ended.returncode, status, ended.stderr)

    def test_a_gate_holds_the_load_until_it_is_told_to_go_on(self):
        with FakeServer(echo_with_a_stall) as server, \
                subprocess.Popen([LOAD, "--port", str(server.port), "--connections", "1", "--requests", "3", "--gate"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
            said = []
            for _ in range(2):
                said.append(load.stdout.readline())
                load.stdin.write("\n")
                load.stdin.flush()
            self.assertEqual(said, ["begin\n", "end\n"])
            self.assertIn("requests=3 errors=0", load.communicate()[0])
            self.assertEqual(load.returncode, 0)

    def test_which_messages_are_heavy_is_decided_by_the_seed(self):
        counts = []
        for seed in (1, 1, 2):
            marks = []

            def note(connection):
                while data := connection.recv(4096):
                    marks.append(data[:1])
                    connection.sendall(data)
            with FakeServer(note) as server:
                ended = run_load("--port", server.port, "--connections", 1, "--requests", 200, "--heavy", 20, "--seed", seed)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            counts.append(marks)
        self.assertEqual(counts[0], counts[1])
        self.assertNotEqual(counts[0], counts[2])
        self.assertTrue(15 < counts[0].count(b"B") < 70)

    def test_a_status_other_than_200_is_named(self):
        answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

        def refuse(connection):
            connection.recv(4096)
            connection.sendall(answer)
        with FakeServer(refuse) as server:
            ended = run_load("--port", server.port, "--mode", "http", "--connections", 1, "--requests", 1)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("the server answers \"HTTP/1.1 503 Busy\"", ended.stderr)

    def test_answers_may_differ_in_length_and_come_in_pieces(self):
        def answer(connection):
            for body in (b"a", b"b" * 3000, b""):
                if not connection.recv(4096):
                    return
                text = b"HTTP/1.1 200 OK\r\ncontent-length:%d\r\n\r\n%s" % (len(body), body)
                connection.sendall(text[:7])
                connection.sendall(text[7:])
        with FakeServer(answer) as server:
            ended = run_load("--port", server.port, "--mode", "http", "--connections", 1, "--requests", 3)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))

    def test_a_server_that_hangs_ends_the_run_at_its_limit(self):
        with FakeServer(lambda connection: connection.recv(4096) and connection.recv(4096)) as server:
            ended = run_load("--port", server.port, "--connections", 1, "--requests", 1, "--limit", 1)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("did not end within its limit", ended.stderr)

    def test_wrong_options_are_refused_with_what_is_expected(self):
        for arguments, words in ((("--port", 0), "expected a whole number from 1 to 65535"), ((), "--port is missing"),
                                 (("--port", 1, "--duration", "3x"), "expected a time such as 10"),
                                 (("--port", 1, "--duration", "0"), "expected a time such as 10"),
                                 (("--port", 1, "--mode", "ftp"), "expected echo or http"),
                                 (("--port", 1, "--heavy", "101"), "a percentage from 0 to 100"),
                                 (("--port", 1, "--speed", 3), "unknown argument --speed")):
            ended = run_load(*arguments)
            self.assertEqual(ended.returncode, 2, arguments)
            self.assertIn(words, ended.stderr)

    def test_nobody_listening_is_said_with_the_address(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            ended = run_load("--port", bound.getsockname()[1], "--requests", 1)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("Connection refused", ended.stderr)


unittest.main(argv=["load_test", "-v"])
