"""Keys of NATS made on the spot: operators, accounts and users, and the JWTs by which they trust each other."""

import base64
import binascii
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

PREFIXES = {"U": 20 << 3, "A": 0, "O": 14 << 3}


class Key:
    """A key of one kind: U, A or O."""

    def __init__(self, kind: str, key: Ed25519PrivateKey | None = None) -> None:
        self.key = key or Ed25519PrivateKey.generate()
        prefix = PREFIXES[kind]
        raw = self.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = checked(bytes([prefix]) + public)
        self.seed = checked(bytes([(18 << 3) | (prefix >> 5), (prefix & 31) << 3]) + raw)

    def vouch(self, kind: str, name: str, subject: str, **claims: Any) -> str:
        """A JWT about `subject`, signed by this key."""
        said: dict[str, Any] = {"iat": 1_700_000_000, "iss": self.public, "name": name, "sub": subject}
        said["nats"] = {"type": kind, "version": 2, **claims}
        said["jti"] = base64.b32encode(hashlib.sha256(json.dumps(said).encode()).digest()).decode().rstrip("=")
        text = f"{part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{part(said)}"
        return f"{text}.{url64(self.key.sign(text.encode()))}"


def nkey() -> tuple[str, str]:
    """Public key and seed of a user."""
    key = Key("U")
    return key.public, key.seed


def decentralised() -> tuple[str, str]:
    """A server's configuration that trusts an operator with one account, and the .creds file of a user of that."""
    operator, account, system, user = Key("O"), Key("A"), Key("A"), Key("U")
    unlimited = {
        "subs": -1,
        "data": -1,
        "payload": -1,
        "imports": -1,
        "exports": -1,
        "wildcards": True,
        "conn": -1,
        "leaf": -1,
    }
    of_account = operator.vouch("account", "shop", account.public, limits=unlimited)
    of_system = operator.vouch("account", "SYS", system.public, limits=unlimited)
    of_operator = operator.vouch("operator", "op", operator.public)
    of_user = account.vouch("user", "gateway", user.public, pub={}, sub={}, subs=-1, data=-1, payload=-1)
    known = f"{account.public}: {of_account}, {system.public}: {of_system}"
    config = f"operator: {of_operator}\nsystem_account: {system.public}\n"
    config += f"resolver: MEMORY\nresolver_preload: {{{known}}}\n"
    return config, creds(of_user, user.seed)


def creds(jwt: str, seed: str) -> str:
    """A .creds file, as `nsc` writes it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n"
        "NKEY Seed printed below can be used to sign and prove identity.\n"
        "NKEYs are sensitive and should be treated as secrets.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n\n"
        "*************************************************************\n"
    )


def checked(body: bytes) -> str:
    """Base32 with the check sum of nkeys."""
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


def part(value: Any) -> str:
    return url64(json.dumps(value, separators=(",", ":")).encode())


def url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
