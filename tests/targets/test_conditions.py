"""RFC 9110 13: preconditions in their order, and If-Range."""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.targets.conditions import evaluate, http_date, range_applies
from edgegw.wire.headers import Headers

NOW = 1_700_000_000.75
AT, BEFORE, AFTER = http_date(NOW), http_date(NOW - 10), http_date(NOW + 10)


class Conditions(SynchronousTestCase):
    def test_date(self) -> None:
        self.assertEqual(AT, b"Tue, 14 Nov 2023 22:13:20 GMT")

    def test_evaluate(self) -> None:
        for fields, etag, wanted in (
            ([], b'"a"', 200),
            ([(b"If-None-Match", b'"a"')], b'"a"', 304),
            ([(b"If-None-Match", b'W/"a"')], b'"a"', 304),
            ([(b"If-None-Match", b'"a"')], b'W/"a"', 304),
            ([(b"If-None-Match", b'"x", "a"')], b'"a"', 304),
            ([(b"If-None-Match", b'"x,", W/"a"')], b'"a"', 304),
            ([(b"If-None-Match", b'"x"'), (b"If-None-Match", b'"a"')], b'"a"', 304),
            ([(b"If-None-Match", b"*")], b'"a"', 304),
            ([(b"If-None-Match", b'"b"')], b'"a"', 200),
            ([(b"If-None-Match", b"a")], b'"a"', 200),
            ([(b"If-None-Match", b'"a')], b'"a"', 200),
            ([(b"If-Modified-Since", AT)], b'"a"', 304),
            ([(b"If-Modified-Since", AFTER)], b'"a"', 304),
            ([(b"If-Modified-Since", BEFORE)], b'"a"', 200),
            ([(b"If-Modified-Since", b"yesterday")], b'"a"', 200),
            ([(b"If-Modified-Since", b"Tue, 14 Nov 99999 22:13:20 GMT")], b'"a"', 200),
            # If-None-Match is stronger.
            ([(b"If-None-Match", b'"b"'), (b"If-Modified-Since", AFTER)], b'"a"', 200),
            ([(b"If-Match", b'"a"')], b'"a"', 200),
            ([(b"If-Match", b'"b"')], b'"a"', 412),
            ([(b"If-Match", b'W/"a"')], b'"a"', 412),
            ([(b"If-Match", b'"a"')], b'W/"a"', 412),
            ([(b"If-Match", b"*")], b'W/"a"', 200),
            ([(b"If-Unmodified-Since", BEFORE)], b'"a"', 412),
            ([(b"If-Unmodified-Since", AT)], b'"a"', 200),
            ([(b"If-Match", b'"a"'), (b"If-Unmodified-Since", BEFORE)], b'"a"', 200),
            ([(b"If-Match", b'"b"'), (b"If-None-Match", b'"a"')], b'"a"', 412),
        ):
            with self.subTest(fields=fields, etag=etag):
                self.assertEqual(evaluate(Headers.of(fields), etag, NOW), wanted, fields)

    def test_if_range(self) -> None:
        for value, etag, wanted in (
            (None, b'"a"', True),
            (b'"a"', b'"a"', True),
            (b'"b"', b'"a"', False),
            (b'W/"a"', b'"a"', False),
            (b'W/"a"', b'W/"a"', False),
            (AT, b'"a"', True),
            (AT, b'W/"a"', False),
            (AFTER, b'"a"', False),
            (b"nonsense", b'"a"', False),
        ):
            with self.subTest(value=value, etag=etag):
                headers = Headers.of([(b"If-Range", value)] if value else [])
                self.assertIs(range_applies(headers, etag, NOW), wanted, value)
