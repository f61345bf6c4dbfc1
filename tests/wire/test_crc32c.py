"""CRC-32C against the vectors of RFC 3720 B.4 and the check value of the catalogue of CRCs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.crc32c import crc32c


class Crc32cTests(SynchronousTestCase):
    def test_published_vectors(self) -> None:
        vectors = [
            (b"", 0),
            (b"123456789", 0xE3069283),
            (bytes(32), 0x8A9136AA),
            (b"\xff" * 32, 0x62A8AB43),
            (bytes(range(32)), 0x46DD794E),
            (bytes(range(31, -1, -1)), 0x113FDB5C),
        ]
        for data, expected in vectors:
            self.assertEqual(f"{crc32c(data):08x}", f"{expected:08x}", data)

    @given(st.binary(min_size=1, max_size=60), st.data())
    def test_one_flipped_bit_is_seen(self, data: bytes, draw: st.DataObject) -> None:
        at = draw.draw(st.integers(0, len(data) - 1))
        flipped = data[:at] + bytes((data[at] ^ 1 << draw.draw(st.integers(0, 7)),)) + data[at + 1 :]
        self.assertNotEqual(crc32c(data), crc32c(flipped))
