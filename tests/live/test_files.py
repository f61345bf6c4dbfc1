"""Static files as browsers and download tools ask for them."""

import hashlib
import os
import time
from pathlib import Path

from tests.live.case import LiveCase
from tests.live.origin import pattern
from tests.live.servers import Gateway, proxy
from tests.live.wire import words

SIZE = 3_000_000
CONTENT = b"".join(pattern(SIZE))
SECRET = b"treasure"
TRAVERSALS = words(r"""
    /files/../secret.txt /files/%2e%2e/secret.txt /files/..%2fsecret.txt /files/..%5csecret.txt /files/....//secret.txt
    /files/%2e%2e%2fsecret.txt /files/sub/../../secret.txt /files//../secret.txt /files/..;/secret.txt
    /files/%252e%252e/secret.txt /files/%c0%ae%c0%ae/secret.txt /files/link /files/linkdir/secret.txt /files/./../secret.txt
    /files/..\secret.txt /files/sub/%2e%2e/%2e%2e/secret.txt /files/.%00./secret.txt /files/secret.txt%00.png
    /files/@/secret.txt /files/~/secret.txt /../secret.txt /files /files/ /files/.hidden //secret.txt /files///secret.txt
    /files/%2fsecret.txt
""")


class FilesTests(LiveCase):
    """A folder behind `files:`, asked by curl and by hand."""

    def setUp(self) -> None:
        gateway = Gateway(
            proxy(more="{match: /files/**, files: {root: ./www, index: index.html}}"),
            files={
                "www/big.bin": CONTENT,
                "www/page.html": "<h1>page</h1>",
                "www/sub/index.html": "<h1>index</h1>",
                "www/.hidden": SECRET,
                "secret.txt": SECRET,
            },
        )
        www = gateway.folder / "www"
        os.symlink(gateway.folder / "secret.txt", www / "link")
        os.symlink(gateway.folder, www / "linkdir")
        old = time.time() - 3600
        for path in www.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.utime(path, (old, old))
        self.www = www
        self.gateway = self.serve(gateway)
        self.url = f"http://127.0.0.1:{gateway.port()}/files"

    def test_range_download(self) -> None:
        """curl -r: the middle, an open end, the tail; each is 206 with its Content-Range."""
        for wish, expected in (
            ("1000-1999", CONTENT[1000:2000]),
            (f"{SIZE - 10}-", CONTENT[-10:]),
            ("-500", CONTENT[-500:]),
            ("0-0", CONTENT[:1]),
            (f"100-{SIZE * 2}", CONTENT[100:]),
        ):
            done = self.curl("-r", wish, "-D", "-", f"{self.url}/big.bin")
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 206"), head)
            self.assertIn(b"\r\nContent-Range: bytes ", head)
            self.assertEqual(hashlib.sha256(body).digest(), hashlib.sha256(expected).digest(), wish)

    def test_resume(self) -> None:
        """curl -C -: a download that was cut goes on where it stopped, and the file is whole."""
        target = self.gateway.folder / "download"
        target.write_bytes(CONTENT[:1_234_567])
        done = self.curl("-C", "-", "-o", str(target), "-w", "%{http_code} %{size_download}", f"{self.url}/big.bin")
        self.assertEqual(done.stdout, b"206 %d" % (SIZE - 1_234_567), done.stderr)
        self.assertEqual(hashlib.sha256(target.read_bytes()).digest(), hashlib.sha256(CONTENT).digest())

    def test_browser_seeks(self) -> None:
        """What a video player does: the start, a jump, If-Range with the tag, and again after the file changed."""
        wire = self.wire(self.gateway)
        first = wire.ask("/files/big.bin", range="bytes=0-")
        self.assertEqual((first.status, first.body), (206, CONTENT))
        tag = first.header("etag")
        self.assertTrue(tag and not tag.startswith("W/"), tag)
        self.assertEqual(first.header("accept-ranges"), "bytes")
        jump = wire.ask("/files/big.bin", range="bytes=2000000-2000099", if_range=tag)
        self.assertEqual((jump.status, jump.body), (206, CONTENT[2_000_000:2_000_100]))
        several = wire.ask("/files/big.bin", range="bytes=0-9,100-109")
        self.assertEqual(several.status, 206)
        self.assertIn("multipart/byteranges", several.header("content-type"))
        self.assertIn(CONTENT[100:110], several.body)
        self.write(self.www / "big.bin", b"x" * 500)
        changed = wire.ask("/files/big.bin", range="bytes=0-9", if_range=tag)
        self.assertEqual((changed.status, changed.body), (200, b"x" * 500))
        self.assertEqual(wire.ask("/files/big.bin", range="bytes=500-").status, 416)

    def write(self, path: Path, content: bytes) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(path)

    def test_conditions(self) -> None:
        """If-None-Match and If-Modified-Since save the body, If-Match guards, a change is seen."""
        wire = self.wire(self.gateway)
        page = wire.ask("/files/page.html")
        self.assertEqual((page.status, page.body), (200, b"<h1>page</h1>"))
        self.assertTrue(page.header("content-type").startswith("text/html"))
        tag, modified = page.header("etag"), page.header("last-modified")
        again = wire.ask("/files/page.html", if_none_match=tag)
        self.assertEqual((again.status, again.body, again.header("etag")), (304, b"", tag))
        self.assertEqual(wire.ask("/files/page.html", if_none_match=f'"other", {tag}').status, 304)
        self.assertEqual(wire.ask("/files/page.html", if_modified_since=modified).status, 304)
        self.assertEqual(wire.ask("/files/page.html", if_none_match='"other"', if_modified_since=modified).status, 200)
        self.assertEqual(wire.ask("/files/page.html", if_match='"other"').status, 412)
        self.write(self.www / "page.html", b"<h1>new</h1>")
        self.assertEqual(wire.ask("/files/page.html", if_none_match=tag).body, b"<h1>new</h1>")
        cached = self.curl(
            "--etag-compare", "/dev/null", "-o", "/dev/null", "-w", "%{http_code}", f"{self.url}/page.html"
        )
        self.assertEqual(cached.stdout, b"200")

    def test_folders_and_methods(self) -> None:
        """A folder without its slash redirects, with it shows the index; HEAD has no body; POST is 405 with Allow."""
        wire = self.wire(self.gateway)
        redirect = wire.ask("/files/sub")
        self.assertIn(redirect.status, (301, 302, 307, 308))
        self.assertTrue(redirect.header("location").endswith("/files/sub/"), redirect.header("location"))
        self.assertEqual(wire.ask("/files/sub/").body, b"<h1>index</h1>")
        head = wire.ask("/files/big.bin", method="HEAD")
        self.assertEqual((head.status, head.header("content-length"), head.body), (200, str(SIZE), b""))
        post = wire.ask("/files/page.html", "POST", b"")
        self.assertEqual(post.status, 405)
        self.assertIn("GET", post.header("allow"))
        self.assertEqual(wire.ask("/files/nothing").status, 404)

    def test_traversal(self) -> None:
        """Nothing outside the folder is ever read, however the path is written; nothing hidden either."""
        for target in TRAVERSALS:
            wire = self.wire(self.gateway)
            wire.send(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode("latin-1"))
            answer = wire.read()
            self.assertNotIn(SECRET, answer.body, target)
            self.assertIn(answer.status, (301, 307, 308, 400, 403, 404), target)
        self.assertNotIn("Traceback", self.gateway.log())

    def test_large_file_costs_no_memory(self) -> None:
        """300 MB of file to a reader that takes its time."""
        with open(self.www / "huge", "wb") as huge:
            huge.truncate(300_000_000)
        wire = self.wire(self.gateway, receive_buffer=65536)
        wire.ask("/files/big.bin")
        with self.peak_growth_below(self.gateway, 8192):
            wire.request("/files/huge")
            answer = wire.read(keep_body=False)
        self.assertEqual(answer.length, 300_000_000)
