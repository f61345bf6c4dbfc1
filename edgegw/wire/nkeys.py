"""Keys of NATS: a login without a secret on the wire. The server sends a nonce, the client signs it with Ed25519.

A seed is base32 of: two bytes that say what it is for, 32 bytes of key, CRC-16 of both (github.com/nats-io/nkeys). A `.creds` file
holds a user's JWT, which the server checks against whom it trusts, and the seed that belongs to it.
"""

from __future__ import annotations

import base64
import binascii
import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_SEED = 18 << 3
_USER = 20 << 3
_SEED_TEXT = re.compile(r"SU[A-Z2-7]{56}\Z")
_BLOCK = re.compile(
    r"-{3,}[^\n]*BEGIN (?:NATS )?(?P<name>USER JWT|USER NKEY SEED)-{3,}\s*(?P<text>[^\s-]\S*)\s*-{3,}[^\n]*END"
)
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")


class Seed:
    """A user's private key.

    Args:
        text: as it is written, beginning with SU.

    Raises:
        ValueError: it is none; the text is not repeated in the words.
    """

    def __init__(self, text: str) -> None:
        if not _SEED_TEXT.match(text):
            raise ValueError("a user's seed has 58 characters, the first of them SU")
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
        body, check = raw[:-2], int.from_bytes(raw[-2:], "little")
        if binascii.crc_hqx(body, 0) != check:
            raise ValueError("the seed is damaged: its check sum is wrong")
        if body[0] & 0xF8 != _SEED or (body[0] & 7) << 5 | body[1] >> 3 != _USER:
            raise ValueError("this is not the seed of a user")
        self._key = Ed25519PrivateKey.from_private_bytes(body[2:])

    @property
    def public(self) -> str:
        """The public key as servers know it, beginning with U."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        body = bytes([_USER]) + raw
        check = binascii.crc_hqx(body, 0).to_bytes(2, "little")
        return base64.b32encode(body + check).decode().rstrip("=")

    def sign(self, nonce: str) -> str:
        """The signature that CONNECT carries: base64 of the URL kind without padding."""
        return base64.urlsafe_b64encode(self._key.sign(nonce.encode())).decode().rstrip("=")

    def __repr__(self) -> str:
        return f"<Seed of {self.public}>"


def read_credentials(text: str) -> tuple[str, Seed]:
    """The JWT (empty: none) and the seed of a `.creds` file, or of a file that holds a seed alone.

    Raises:
        ValueError: there is no seed, or one of the two is none. The words hold nothing of the text.
    """
    blocks = {found["name"]: found["text"] for found in _BLOCK.finditer(text)}
    if not blocks:
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        if len(lines) != 1:
            raise ValueError("it is neither a .creds file nor a seed alone")
        return "", Seed(lines[0])
    if "USER NKEY SEED" not in blocks:
        raise ValueError("it has no block USER NKEY SEED")
    jwt = blocks.get("USER JWT", "")
    if jwt and not _JWT.match(jwt):
        raise ValueError("its USER JWT is no JWT")
    return jwt, Seed(blocks["USER NKEY SEED"])
