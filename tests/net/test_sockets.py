"""Places, listening sockets, and addresses as Twisted names them."""

import os
import socket
import stat
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.sockets import TcpPlace, UnixPlace, address_of, adopt, bind, keep_alive, name_of


class BindTests(SynchronousTestCase):
    def bind(self, place: Any, backlog: int = 16) -> socket.socket:
        sock = bind(place, backlog)
        self.addCleanup(sock.close)
        return sock

    def test_no_host_means_both_families(self) -> None:
        sock = self.bind(TcpPlace("", 0))
        port = sock.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), 5).close()

    def test_a_named_host_is_one_family(self) -> None:
        self.assertEqual(self.bind(TcpPlace("127.0.0.1", 0)).family, socket.AF_INET)
        six = self.bind(TcpPlace("::", 0))
        self.assertEqual(six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), 1)
        self.bind(TcpPlace("0.0.0.0", six.getsockname()[1]))

    def test_non_blocking_and_not_inherited(self) -> None:
        sock = self.bind(TcpPlace("127.0.0.1", 0))
        self.assertRaises(BlockingIOError, sock.accept)
        self.assertFalse(os.get_inheritable(sock.fileno()))

    def test_a_taken_port_is_refused_by_name(self) -> None:
        port = self.bind(TcpPlace("127.0.0.1", 0)).getsockname()[1]
        error = self.assertRaises(CannotListenError, bind, TcpPlace("127.0.0.1", port))
        self.assertIn(f"127.0.0.1:{port}", str(error))
        self.assertIn("in use", str(error))

    def test_places_that_cannot_be(self) -> None:
        for place in (TcpPlace("203.0.113.1", 0), TcpPlace("127.0.0.1", 70000), UnixPlace("/no/such/folder/x")):
            self.assertRaises(CannotListenError, bind, place)

    def test_unix_mode(self) -> None:
        path = self.mktemp()
        self.bind(UnixPlace(path, 0o600))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    def test_a_dead_unix_socket_is_replaced_a_living_one_is_not(self) -> None:
        path = self.mktemp()
        first = bind(UnixPlace(path))
        self.assertRaises(CannotListenError, bind, UnixPlace(path))
        first.close()
        self.bind(UnixPlace(path))
        self.assertRaises(CannotListenError, bind, UnixPlace(path))

    def test_a_file_that_is_no_socket_is_never_removed(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("precious")
        self.assertRaises(CannotListenError, bind, UnixPlace(path))
        self.assertTrue(os.path.exists(path))


class KeepAliveTests(SynchronousTestCase):
    def test_accepted_connections_are_asked_whether_they_live(self) -> None:
        listening = bind(TcpPlace("127.0.0.1", 0))
        self.addCleanup(listening.close)
        keep_alive(listening)
        peer = socket.create_connection(listening.getsockname(), 5)
        self.addCleanup(peer.close)
        listening.setblocking(True)
        accepted, _ = listening.accept()
        self.addCleanup(accepted.close)
        self.assertEqual(accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        tcp = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
        self.assertEqual([accepted.getsockopt(socket.IPPROTO_TCP, each) for each in tcp], [60, 10, 6])

    def test_nothing_of_a_unix_socket(self) -> None:
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        keep_alive(sock)
        self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 0)


class AdoptTests(SynchronousTestCase):
    def test_descriptor_bound_but_not_listening(self) -> None:
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        sock = adopt(bound.detach())
        self.addCleanup(sock.close)
        socket.create_connection(sock.getsockname(), 5).close()
        self.assertEqual(sock.gettimeout(), 0)

    def test_datagram_socket_is_refused(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            self.assertRaises(OSError, adopt, sock)


class AddressTests(SynchronousTestCase):
    def test_addresses_and_their_names(self) -> None:
        table = [
            (("1.2.3.4", 80), IPv4Address("TCP", "1.2.3.4", 80), "1.2.3.4:80"),
            (("::1", 80, 0, 0), IPv6Address("TCP", "::1", 80), "[::1]:80"),
            (("::ffff:1.2.3.4", 80, 0, 0), IPv4Address("TCP", "1.2.3.4", 80), "1.2.3.4:80"),
            (("fe80::1", 80, 0, 3), IPv6Address("TCP", "fe80::1", 80, 0, 3), "[fe80::1]:80"),
            ("/run/x", UNIXAddress("/run/x"), "unix:/run/x"),
            ("", UNIXAddress(None), "unix:"),
            (None, UNIXAddress(None), "unix:"),
        ]
        for raw, address, name in table:
            self.assertEqual(address_of(raw), address)
            self.assertEqual(name_of(address), name)

    def test_places_print_as_people_write_them(self) -> None:
        self.assertEqual(str(TcpPlace("127.0.0.1", 80)), "127.0.0.1:80")
        self.assertEqual(str(TcpPlace("::1", 80)), "[::1]:80")
        self.assertEqual(str(UnixPlace("/run/x")), "unix:/run/x")
