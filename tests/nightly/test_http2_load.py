"""A million HTTP/2 requests, for `make nightly`: nothing fails and nothing grows."""

from tests.live.protocols import Fronted, Nghttpd
from tests.live.servers import installed
from tests.live.test_http2 import check_h2load, ran

COUNT = 1_000_000


class MillionTests(Fronted):
    """h2load against the gateway before nghttpd."""

    timeout = 1800

    def test_million(self) -> None:
        """1,000,000 proxied requests; resident memory after the last tenth is what it was after the first."""
        origin = self.serve(Nghttpd(files={"www/x": b"x" * 125}))
        # h2load opens no second connection when it is asked to.
        gateway = self.before(f"h2c://127.0.0.1:{origin.port()}", listen="caps: {requests: 100000}")
        url = f"http://127.0.0.1:{gateway.port('web')}/x"
        command = [installed("h2load"), "-c", "20", "-m", "100", url]
        check_h2load(ran(*command, "-n", str(COUNT // 10), limit_s=300), COUNT // 10)
        before = gateway.rss_kib()
        check_h2load(ran(*command, "-n", str(COUNT), limit_s=1500), COUNT)
        self.assertLess(gateway.rss_kib() - before, 8 * 1024)
