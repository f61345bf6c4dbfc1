"""The asking side of the control socket, against servers of every kind."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from edgegw.cli.control_client import NotRunning, ask
from edgegw.cli.verbs import CommandFailed
from tests.cli.case import CliCase


class ClientTests(CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.folder / "control.sock"

    def serve(self, behave: Callable[[socket.socket], None]) -> None:
        """Accept one connection in a thread."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.path))
        listening.listen(1)

        def work() -> None:
            connection, _ = listening.accept()
            with connection:
                behave(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 5)
        self.addCleanup(listening.close)

    def answer(self, data: bytes) -> Callable[[socket.socket], None]:
        def behave(connection: socket.socket) -> None:
            connection.recv(65536)
            connection.sendall(data)

        return behave

    def refusal(self, data: bytes) -> str:
        self.serve(self.answer(data))
        return str(self.assertRaises(CommandFailed, ask, self.path, "status"))

    def test_an_answer(self) -> None:
        seen: list[bytes] = []

        def behave(connection: socket.socket) -> None:
            seen.append(connection.recv(65536))
            for byte in b'{"id": null, "ok": true, "result": {"a": 1}}\n':
                connection.sendall(bytes([byte]))

        self.serve(behave)
        self.assertEqual(ask(self.path, "reload", {"dry_run": True}), {"a": 1})
        self.assertEqual(seen, [b'{"command": "reload", "arguments": {"dry_run": true}}\n'])

    def test_a_refusal(self) -> None:
        self.assertEqual(self.refusal(b'{"ok": false, "error": "busy", "message": "later"}\n'), "later")

    def test_what_is_no_gateway(self) -> None:
        for number, data in enumerate(
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"[]\n", b"{}\n", b'{"ok": true}\n', b"\xff\n")
        ):
            self.path = self.folder / f"{number}.sock"
            self.assertIn("is not an edgegw gateway", self.refusal(data))

    def test_no_answer_at_all(self) -> None:
        self.assertIn("ended the connection without an answer", self.refusal(b""))

    def test_half_an_answer(self) -> None:
        self.assertIn("ended the connection without an answer", self.refusal(b'{"ok": tr'))

    def test_silence(self) -> None:
        over = threading.Event()
        self.addCleanup(over.set)
        self.serve(lambda connection: over.wait(5) and None)
        wrong = self.assertRaises(CommandFailed, ask, self.path, "status", timeout_s=0.05)
        self.assertIn("did not answer within 0.05 s", str(wrong))

    def test_nobody(self) -> None:
        wrong = self.assertRaises(NotRunning, ask, self.path, "status")
        self.assertEqual(
            str(wrong), f"no gateway is running here: {self.path} does not exist; start it with: edgegw run"
        )

    def test_a_dead_socket(self) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(self.path))
        self.assertIn("was left behind by one that ended", str(self.assertRaises(NotRunning, ask, self.path, "status")))

    def test_a_file_that_is_no_socket(self) -> None:
        self.path.write_text("")
        self.assertRaises(NotRunning, ask, self.path, "status")

    def test_a_path_that_is_too_long(self) -> None:
        path = self.folder / ("x" * 120) / "control.sock"
        self.assertIn("too long", str(self.assertRaises(CommandFailed, ask, path, "status")))

    def test_somebody_elses(self) -> None:
        if os.geteuid() == 0:
            return  # root may use every socket.
        self.serve(self.answer(b""))
        Path(self.path).chmod(0)
        self.assertIn("may only be used by the user", str(self.assertRaises(CommandFailed, ask, self.path, "status")))
