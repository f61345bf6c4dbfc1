"""Static files: what is found, what never is, what is sent, and that descriptors and memory stay where they are."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.targets.files import Files, FilesSettings, content_type
from edgegw.targets.folder import Folder
from edgegw.targets.threads import threads_of
from edgegw.testing.exchanges import Gathered, drain, make_exchange

MTIME = 1_700_000_000
TEXT = b"0123456789" * 10


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        top = Path(self.mktemp()).absolute()
        self.root = top / "www"
        for name, data in {
            "www/index.html": b"<top>", "www/a.txt": TEXT, "www/docs/index.html": b"<docs>", "www/docs/readme.txt": b"read",
            "www/empty": b"", "www/sp ace.txt": b"space", "www/\u00e9.txt": b"accent", "www/a;b.txt": b"semicolon",
            "www/.secret": b"no", "www/.git/config": b"no", "www/.well-known/security.txt": b"yes", "www/bare/x": b"x",
            "www/docs/.well-known/x": b"no", "outside.txt": b"no", "www-twin/x": b"no",
        }.items():  # fmt: skip
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(data)
            os.utime(top / name, (MTIME, MTIME))
        os.symlink("../outside.txt", self.root / "way-out")
        os.symlink("..", self.root / "up")
        os.symlink("../www-twin", self.root / "twin")
        os.symlink("docs/readme.txt", self.root / "inside")
        os.symlink("loop", self.root / "loop")
        os.mkfifo(self.root / "fifo")
        self.now = MTIME + 1000.0
        self.before = descriptors()

    def target(self, clock: Any = None) -> Files:
        folder = Folder(self.root, "index.html")
        clock = clock or self.clock
        return Files(folder, clock, threads_of(clock), lambda: self.now, lambda: "BOUNDARY")

    def exchange(self, path: str, fields: dict[str, str] | None = None, method: str = "GET") -> Exchange:
        exchange = make_exchange(method, path, [(k.encode(), v.encode()) for k, v in (fields or {}).items()])
        exchange.request.params = {"path": exchange.request.path[1:]}
        return exchange

    def get(self, path: str, fields: dict[str, str] | None = None, method: str = "GET") -> Response:
        return self.successResultOf(Deferred.fromCoroutine(self.target()(self.exchange(path, fields, method))))

    def content(self, response: Response) -> bytes:
        sink = drain(response.body)
        self.clock.advance(0)
        self.assertTrue(sink.ended)
        self.assertEqual(descriptors(), self.before)
        return sink.data

    def refused(self, path: str, fields: dict[str, str] | None = None, method: str = "GET") -> GatewayError:
        waiting = Deferred.fromCoroutine(self.target()(self.exchange(path, fields, method)))
        error = self.failureResultOf(waiting, GatewayError).value
        self.assertEqual(descriptors(), self.before)
        return error


class Finding(Case):
    def test_found(self) -> None:
        for path, wanted in (
            ("/a.txt", TEXT),
            ("/", b"<top>"),
            ("/docs/", b"<docs>"),
            ("/docs/readme.txt", b"read"),
            ("/sp%20ace.txt", b"space"),
            ("/%C3%A9.txt", b"accent"),
            ("/a;b.txt", b"semicolon"),
            ("/inside", b"read"),
            ("/.well-known/security.txt", b"yes"),
            ("/empty", b""),
        ):
            with self.subTest(path=path):
                response = self.get(path)
                self.assertEqual(response.status, 200)
                self.assertEqual(response.headers.get(b"content-length"), b"%d" % len(wanted))
                self.assertEqual(self.content(response), wanted)

    def test_never_found(self) -> None:
        for path in (
            "/no", "/a.txt/", "/a.txt/x", "/.secret", "/.git/config", "/docs/.well-known/x", "/way-out", "/up/outside.txt",
            "/twin/x", "/loop", "/fifo", "/bare/", "/index.html/", "/" + "a" * 300, "/%252e%252e/outside.txt",
            "/" + "/".join("a" * 500),
        ):  # fmt: skip
            with self.subTest(path=path):
                error = self.refused(path)
                self.assertEqual((error.status, error.reason), (404, "no_file"))

    def test_what_no_normaliser_lets_through_is_not_found_either(self) -> None:
        folder = Folder(self.root, "index.html")
        for path in (
            "../outside.txt", "..", "docs/../../outside.txt", "docs/..", "%2e%2e/outside.txt", "..%2foutside.txt", "a.txt%00",
            "a.txt%00.png", "/etc/passwd", "//etc/passwd", "docs//readme.txt", "docs%2freadme.txt", "..\\outside.txt",
            "%5c..%5coutside.txt", "./a.txt", "a%0d%0a", "%ff",
        ):  # fmt: skip
            with self.subTest(path=path):
                self.assertIsNone(folder.open(path))
        self.assertEqual(descriptors(), self.before)

    def test_folder_without_slash(self) -> None:
        for path, location in (("/docs", b"/docs/"), ("/docs?x=1", b"/docs/?x=1"), ("/bare", b"/bare/")):
            response = self.get(path)
            self.assertEqual((response.status, response.headers.get(b"location")), (308, location))

    def test_mounted_below_a_prefix(self) -> None:
        for path, rest, status in (("/files/a.txt", "a.txt", 200), ("/files", "", 308), ("/files/", "", 200)):
            exchange = make_exchange("GET", path)
            exchange.request.params = {"path": rest}
            response = self.successResultOf(Deferred.fromCoroutine(self.target()(exchange)))
            self.assertEqual(response.status, status, path)
        exchange = make_exchange("GET", "/files/docs")
        exchange.request.params = {"path": "docs"}
        response = self.successResultOf(Deferred.fromCoroutine(self.target()(exchange)))
        self.assertEqual(response.headers.get(b"location"), b"/files/docs/")

    def test_without_a_capture_or_behind_a_rewrite_the_path_counts(self) -> None:
        exchange = make_exchange("GET", "/a.txt")
        rewritten = make_exchange("GET", "/x/y")
        rewritten.request.params = {"path": "y"}
        rewritten.request.path = "/a.txt"
        for made in (exchange, rewritten):
            response = self.successResultOf(Deferred.fromCoroutine(self.target()(made)))
            self.assertEqual(self.content(response), TEXT)

    def test_root_may_be_a_link_that_moves(self) -> None:
        link = self.root.parent / "current"
        os.symlink("www", link)
        folder = Folder(link, "index.html")
        first = folder.open("a.txt")
        os.unlink(link)
        os.symlink("www-twin", link)
        second = folder.open("x")
        self.assertIsNone(folder.open("a.txt"))
        for found in (first, second):
            os.close(found.descriptor)  # type: ignore[union-attr]

    def test_methods(self) -> None:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            error = self.refused("/a.txt", method=method)
            self.assertEqual((error.status, error.headers), (405, ((b"Allow", b"GET, HEAD"),)))


class Answering(Case):
    def test_fields(self) -> None:
        response = self.get("/a.txt")
        self.assertEqual(
            list(response.headers),
            [
                (b"ETag", b'"%x-64"' % (MTIME * 10**9)),
                (b"Last-Modified", b"Tue, 14 Nov 2023 22:13:20 GMT"),
                (b"Accept-Ranges", b"bytes"),
                (b"Content-Type", b"text/plain; charset=utf-8"),
                (b"Content-Length", b"100"),
            ],
        )
        self.content(response)

    def test_head(self) -> None:
        response = self.get("/a.txt", {"Range": "bytes=0-1"}, "HEAD")
        self.assertEqual((response.status, response.headers.get(b"content-length")), (200, b"100"))
        self.assertTrue(response.body.empty)
        self.assertEqual(descriptors(), self.before)

    def test_not_modified(self) -> None:
        etag = (self.get("/a.txt", method="HEAD").headers.get(b"etag") or b"").decode()
        for fields in ({"If-None-Match": etag}, {"If-Modified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"}):
            for method in ("GET", "HEAD"):
                response = self.get("/a.txt", fields, method)
                self.assertEqual((response.status, response.headers.get(b"etag")), (304, etag.encode()))
                self.assertTrue(response.body.empty)
        self.assertEqual(descriptors(), self.before)
        self.assertEqual(self.refused("/a.txt", {"If-Match": '"other"'}).status, 412)

    def test_tag_is_weak_while_the_file_may_still_change(self) -> None:
        self.now = MTIME + 1.0
        etag = self.get("/a.txt", method="HEAD").headers.get(b"etag") or b""
        self.assertTrue(etag.startswith(b'W/"'))
        response = self.get("/a.txt", {"Range": "bytes=0-1", "If-Range": etag.decode()})
        self.assertEqual((response.status, self.content(response)), (200, TEXT))

    def test_one_range(self) -> None:
        for asked, said, wanted in (
            ("bytes=0-4", b"bytes 0-4/100", b"01234"),
            ("bytes=95-", b"bytes 95-99/100", b"56789"),
            ("bytes=-3", b"bytes 97-99/100", b"789"),
        ):
            response = self.get("/a.txt", {"Range": asked})
            self.assertEqual((response.status, response.headers.get(b"content-range")), (206, said))
            self.assertEqual(response.headers.get(b"content-length"), b"%d" % len(wanted))
            self.assertEqual(self.content(response), wanted)

    def test_many_ranges(self) -> None:
        response = self.get("/a.txt", {"Range": "bytes=0-1,-2"})
        self.assertEqual(response.status, 206)
        self.assertEqual(response.headers.get(b"content-type"), b"multipart/byteranges; boundary=BOUNDARY")
        self.assertNotIn(b"content-range", response.headers)
        length = int(response.headers.get(b"content-length") or 0)
        content = self.content(response)
        self.assertEqual(len(content), length)
        self.assertEqual(
            content,
            b"\r\n--BOUNDARY\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/100\r\n\r\n01"
            b"\r\n--BOUNDARY\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 98-99/100\r\n\r\n89"
            b"\r\n--BOUNDARY--\r\n",
        )

    def test_range_not_satisfiable(self) -> None:
        error = self.refused("/a.txt", {"Range": "bytes=100-"})
        self.assertEqual((error.status, error.headers), (416, ((b"Content-Range", b"bytes */100"),)))

    def test_if_range(self) -> None:
        etag = (self.get("/a.txt", method="HEAD").headers.get(b"etag") or b"").decode()
        for value, status in ((etag, 206), ('"other"', 200), ("Tue, 14 Nov 2023 22:13:20 GMT", 206)):
            response = self.get("/a.txt", {"Range": "bytes=0-1", "If-Range": value})
            self.assertEqual(response.status, status, value)
            self.content(response)

    def test_content_types(self) -> None:
        for name, wanted in (
            ("a.html", b"text/html; charset=utf-8"), ("a.js", b"text/javascript; charset=utf-8"),
            ("a.css", b"text/css; charset=utf-8"), ("a.json", b"application/json"), ("a.svg", b"image/svg+xml"),
            ("a.woff2", b"font/woff2"),
            ("a.wasm", b"application/wasm"),
            ("a.PNG", b"image/png"), ("a.tar.gz", b"application/gzip"), ("a", b"application/octet-stream"),
            ("a.unknown", b"application/octet-stream"),
        ):  # fmt: skip
            self.assertEqual(content_type(name), wanted)


class Counting(Gathered):
    """Counts instead of keeping; pauses after every chunk when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.largest = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.largest = max(self.largest, len(data))


class Streaming(Case):
    def big(self, size: int) -> None:
        with open(self.root / "big", "wb") as file:
            file.truncate(size)
        os.utime(self.root / "big", (MTIME, MTIME))

    def test_small_files_are_ready_with_the_head(self) -> None:
        response = self.get("/a.txt")
        if response.body.complete:  # not on a file system that can't say what is cached
            self.assertEqual(response.body.take_ready(), TEXT)
            self.assertEqual(descriptors(), self.before)

    def test_memory_is_flat(self) -> None:
        size = 256 << 20
        self.big(size)
        response = self.get("/big")
        sink = Counting()
        tracemalloc.start()
        response.body.attach(sink)
        self.clock.advance(0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.assertEqual((sink.size, sink.largest, sink.ended), (size, 65536, True))
        self.assertLess(peak, 1 << 20)
        self.assertEqual(descriptors(), self.before)

    def test_backpressure(self) -> None:
        self.big(1 << 20)
        body = self.get("/big").body
        sink = Counting()
        body.attach(sink)
        body.pause()
        self.clock.advance(0)
        self.clock.advance(0)
        stopped = sink.size
        self.assertLessEqual(stopped, 2 * 65536)
        body.resume()
        self.clock.advance(0)
        self.assertEqual((sink.size, sink.ended), (1 << 20, True))

    def test_nothing_more_is_read_before_somebody_reads(self) -> None:
        self.big(1 << 20)
        body = self.get("/big").body
        self.clock.advance(0)
        self.assertLessEqual(body.size, 65536)
        body.cancel()
        self.assertEqual(descriptors(), self.before)

    def test_others_have_their_turn(self) -> None:
        self.big(4 << 20)
        body = self.get("/big").body
        sink = Counting()
        body.attach(sink)
        seen: list[int] = []
        self.clock.callLater(0, lambda: seen.append(sink.size))
        self.clock.advance(0)
        self.assertLessEqual(seen[0], 5 * 65536)

    def test_cancelled_in_the_middle(self) -> None:
        self.big(1 << 20)
        body = self.get("/big").body
        body.attach(Counting())
        body.pause()
        self.clock.advance(0)
        body.cancel()
        self.assertEqual(descriptors(), self.before)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never_read_at_all(self) -> None:
        self.big(1 << 20)
        exchange = self.exchange("/big")
        self.successResultOf(Deferred.fromCoroutine(self.target()(exchange)))
        self.assertEqual(descriptors(), self.before + 1)
        exchange.end(Outcome(0, False, 0, 0, None))
        self.assertEqual(descriptors(), self.before)

    def test_file_that_shrinks_is_torn(self) -> None:
        self.big(1 << 20)
        body = self.get("/big").body
        sink = Counting()
        os.truncate(self.root / "big", 100_000)
        body.attach(sink)
        self.clock.advance(0)
        self.assertFalse(sink.ended)
        self.assertEqual(sink.error.reason if sink.error else None, "file_failed")
        self.assertEqual(descriptors(), self.before)


class Mistakes(SynchronousTestCase):
    def test_table(self) -> None:
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        (base / "file").write_text("")
        for raw, loc, message in (
            ({"root": "nowhere"}, ("root",), "does not exist"),
            ({"root": "file"}, ("root",), "is not a folder"),
            ({"root": ".", "index": "a/b"}, ("index",), "is not a file name"),
            ({"root": ".", "index": ".htaccess"}, ("index",), "is not a file name"),
        ):
            with self.subTest(raw=raw):
                problems = Problems()
                settings = FilesSettings.model_validate(raw)
                self.assertIsNone(Files.compile(settings, problems.under("files"), base, Clock()))
                (problem,) = problems
                self.assertEqual(problem.loc, ("files", *loc))
                self.assertIn(message, problem.message)
        problems = Problems()
        self.assertIsNotNone(Files.compile(FilesSettings(root="."), problems, base, Clock()))
        self.assertFalse(problems)
