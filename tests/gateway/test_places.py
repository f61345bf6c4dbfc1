"""Places to listen and write, and the words for why not."""

import errno
import os
import shutil
import socket
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.error import CannotListenError

from edgegw.export.settings import AccessLogSettings
from edgegw.gateway.places import can_bind, observe_place, obstacle, passed_sockets, place_of, placed
from edgegw.net.settings import ListenSettings
from edgegw.net.sockets import TcpPlace, UnixPlace


class PlaceTests(unittest.TestCase):
    def place(self, **more: Any) -> Any:
        return place_of(ListenSettings.model_validate(more), Path("/base"))

    def test_listeners(self) -> None:
        self.assertEqual(self.place(port=1), TcpPlace("", 1))
        self.assertEqual(self.place(port=1, interface="::1"), TcpPlace("::1", 1))
        self.assertEqual(self.place(unix="run/x.sock"), UnixPlace("/base/run/x.sock"))
        self.assertEqual(self.place(unix="/run/x.sock"), UnixPlace("/run/x.sock"))
        self.assertIsNone(self.place(systemd="web"))

    def test_observe(self) -> None:
        self.assertEqual(observe_place(":9902"), observe_place("[::]:9902"))
        self.assertEqual(observe_place("localhost:9902"), TcpPlace("127.0.0.1", 9902))

    def test_access_log(self) -> None:
        for path, found in (("stdout", "stdout"), ("off", "off"), ("a.log", "/base/a.log"), ("/x/a.log", "/x/a.log")):
            self.assertEqual(placed(AccessLogSettings(path=path, format="json"), Path("/base")).path, found)


class PassedTests(unittest.TestCase):
    def passed(self, **environ: str) -> dict[str, int]:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"".join(f"{name}={value}\0".encode() for name, value in environ.items()))
            file.flush()
            return dict(passed_sockets(Path(file.name)))

    def test_by_name(self) -> None:
        pid = str(os.getpid())
        self.assertEqual(self.passed(LISTEN_PID=pid, LISTEN_FDS="2", LISTEN_FDNAMES="a:b"), {"a": 3, "b": 4})

    def test_not_for_us(self) -> None:
        self.assertEqual(self.passed(LISTEN_PID="1", LISTEN_FDS="1", LISTEN_FDNAMES="a"), {})
        self.assertEqual(self.passed(), {})
        self.assertEqual(passed_sockets(Path("/no/such/file")), {})


class ObstacleTests(unittest.TestCase):
    def told(self, number: int, place: Any) -> Any:
        return obstacle(CannotListenError("", 1, OSError(number, os.strerror(number))), place)

    def test_words(self) -> None:
        found = self.told(errno.EADDRINUSE, TcpPlace("", 80))
        self.assertEqual(found.reason, "address already in use")
        self.assertIn("sport = :80", found.advice)
        self.assertTrue(found.passing)
        self.assertIn("ss -lxp", self.told(errno.EADDRINUSE, UnixPlace("/x")).advice)
        self.assertIn("CAP_NET_BIND_SERVICE", self.told(errno.EACCES, TcpPlace("", 80)).advice)
        self.assertIsNone(self.told(errno.EACCES, TcpPlace("", 8080)).advice)
        self.assertIn("ip address", self.told(errno.EADDRNOTAVAIL, TcpPlace("10.9.8.7", 80)).advice)
        self.assertEqual(obstacle(LookupError("Nothing there")).reason, "nothing there")


class CanBindTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-bind-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def test_free_and_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for host in ("127.0.0.1", ""):
                found = can_bind(TcpPlace(host, port))
                assert found is not None
                self.assertEqual(found.reason, "address already in use")
        self.assertIsNone(can_bind(TcpPlace("127.0.0.1", port)))
        self.assertIsNone(can_bind(TcpPlace("", port)))

    def test_nothing_is_left_behind(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.assertIsNone(can_bind(TcpPlace("127.0.0.1", port)))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)

    def test_not_ours(self) -> None:
        self.assertIsNotNone(can_bind(TcpPlace("192.0.2.1", 8080)))

    def test_without_ipv6(self) -> None:
        real = socket.socket

        def v4_only(family: int, *args: Any) -> socket.socket:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "no IPv6")
            return real(family, *args)

        with mock.patch("socket.socket", v4_only):
            self.assertIsNone(can_bind(TcpPlace("", 0)))

    def test_unix(self) -> None:
        (self.folder / "file").write_text("")
        self.assertIsNone(can_bind(UnixPlace(str(self.folder / "x.sock"))))
        for name, said in (("file", "is no socket"), ("no/x.sock", "does not exist")):
            found = can_bind(UnixPlace(str(self.folder / name)))
            assert found is not None
            self.assertIn(said, found.reason)
        with mock.patch("os.access", return_value=False):
            found = can_bind(UnixPlace(str(self.folder / "x.sock")))
        assert found is not None
        self.assertIn("cannot be written to", found.reason)

    def test_what_systemd_passes_cannot_be_told(self) -> None:
        self.assertIsNone(can_bind(None))
