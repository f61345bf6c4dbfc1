"""Tests of edgegw.discovery.resolv_conf: resolv.conf(5)."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.resolv_conf import SUFFIXES, ResolvConf, system

POD = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"]


class SystemTests(SynchronousTestCase):
    """What the file says."""

    def read(self, text: str) -> ResolvConf:
        path = Path(self.mktemp())
        path.write_text(text)
        return system(str(path))

    def test_servers(self) -> None:
        text = "# x\nsearch a.b\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nnameserver x\nnameserver\noptions ndots:5\n"
        self.assertEqual(self.read(text).servers, [("10.0.0.53", 53), ("fe80::1%eth0", 53)])

    def test_three(self) -> None:
        self.assertEqual(len(self.read("nameserver 10.0.0.53\n" * 9).servers), 3)

    def test_none(self) -> None:
        for found in (self.read(""), system("/nowhere")):
            self.assertEqual(found, ResolvConf([("127.0.0.1", 53)], [], 1))

    def test_search(self) -> None:
        for text, search in (
            ("search a.b c.d.", ["a.b", "c.d"]),
            ("domain a.b c.d", ["a.b"]),
            ("search a.b\ndomain c.d", ["c.d"]),
            ("domain c.d\nsearch a.b e", ["a.b", "e"]),
            ("search", []),
            ("#search a.b\n; search a.b\n", []),
            ("search .", [""]),
            (f"search .a.b a..b {'a' * 64}.b {'a.' * 200}b a/b a.b", ["a.b"]),
            ("search \u00e4.b a\x07.b a.b", ["a.b"]),
        ):
            self.assertEqual(self.read(text).search, search, text)

    def test_ndots(self) -> None:
        for text, ndots in (
            ("options ndots:5", 5),
            ("options timeout:1 ndots:2 edns0", 2),
            ("options ndots:99999", 15),
            ("options ndots:0", 0),
            ("options ndots:x ndots: ndots", 1),
            ("options ndots:2\noptions ndots:3", 3),
        ):
            self.assertEqual(self.read(text).ndots, ndots, text)


class NameTests(SynchronousTestCase):
    """What is asked for, in which order."""

    def test_in_a_pod(self) -> None:
        conf = ResolvConf((), POD, 5)
        self.assertEqual(conf.full_names("users"), [*(f"users.{each}" for each in POD), "users"])
        self.assertEqual(conf.full_names("users.shop"), [*(f"users.shop.{each}" for each in POD), "users.shop"])
        whole = "_http._tcp.users.shop.svc"
        self.assertEqual(conf.full_names(whole)[0], f"{whole}.{POD[0]}")
        self.assertEqual(conf.full_names(f"{whole}.cluster.local")[0], f"{whole}.cluster.local")

    def test_dots(self) -> None:
        """As it is: first if there are enough of them, else last."""
        for ndots, name, first in ((1, "u", False), (1, "u.v", True), (2, "u.v", False), (0, "u", True)):
            found = ResolvConf((), ["a"], ndots).full_names(name)
            self.assertEqual(found, [name, f"{name}.a"] if first else [f"{name}.a", name], (ndots, name))

    def test_whole(self) -> None:
        self.assertEqual(ResolvConf((), POD, 5).full_names("users."), ["users"])

    def test_no_list(self) -> None:
        self.assertEqual(ResolvConf(()).full_names("users"), ["users"])

    def test_the_root_in_the_list(self) -> None:
        self.assertEqual(ResolvConf((), ["a", "", "b"]).full_names("u"), ["u.a", "u", "u.b"])

    def test_bounds(self) -> None:
        """So many suffixes, and no name that cannot be one."""
        many = ResolvConf((), [f"d{number}" for number in range(100)])
        self.assertEqual(len(many.full_names("u")), SUFFIXES + 1)
        self.assertEqual(
            ResolvConf((), ["x" * 60 + ".b" * 96, "a"]).full_names("u.v" * 3), ["u.vu.vu.v", "u.vu.vu.v.a"]
        )
