"""Tests of edgegw.wire.nkeys."""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.nkeys import Seed, read_credentials
from tests.nkeys import Key, creds

# From the documentation of nats.go and nkeys (github.com/nats-io/nkeys, README).
SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


class SeedTests(SynchronousTestCase):
    """Seeds of users."""

    def test_known(self) -> None:
        self.assertEqual(Seed(SEED).public, PUBLIC)

    def test_signature(self) -> None:
        key = Key("U")
        seed = Seed(key.seed)
        self.assertEqual(seed.public, key.public)
        text = seed.sign("a nonce")
        self.assertNotIn("=", text)
        signature = base64.urlsafe_b64decode(text + "==")
        public: Ed25519PublicKey = key.key.public_key()
        public.verify(signature, b"a nonce")
        self.assertRaises(InvalidSignature, public.verify, signature, b"another")

    def test_wrong(self) -> None:
        """Nothing of a seed is repeated in the words."""
        for text, words in (
            ("", "58 characters"),
            (Key("A").seed, "58 characters"),
            (SEED[:-1], "58 characters"),
            (SEED.lower(), "58 characters"),
            (SEED[:20] + ("A" if SEED[20] != "A" else "B") + SEED[21:], "check sum"),
        ):
            error = self.assertRaises(ValueError, Seed, text)
            self.assertIn(words, str(error))
            self.assertNotIn(text[4:40] or "?", str(error))
        self.assertNotIn(SEED[4:], repr(Seed(SEED)))

    @settings(max_examples=200, deadline=None)
    @given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=56, max_size=56))
    def test_any_text(self, text: str) -> None:
        """No other exception."""
        try:
            Seed("SU" + text)
        except ValueError:
            pass


class CredentialsTests(SynchronousTestCase):
    """Files."""

    def test_creds(self) -> None:
        jwt, seed = read_credentials(creds("a.b.c", SEED))
        self.assertEqual((jwt, seed.public), ("a.b.c", PUBLIC))
        jwt, seed = read_credentials(creds("a.b.c", SEED).replace("\n", "\r\n"))
        self.assertEqual((jwt, seed.public), ("a.b.c", PUBLIC))

    def test_seed_alone(self) -> None:
        jwt, seed = read_credentials(f"# of the gateway\n\n  {SEED}\n")
        self.assertEqual((jwt, seed.public), ("", PUBLIC))

    def test_wrong(self) -> None:
        for text, words in (
            ("", "neither"),
            ("a\nb", "neither"),
            (creds("a.b.c", SEED).replace("USER NKEY SEED", "OTHER"), "no block USER NKEY SEED"),
            (creds("no-jwt", SEED), "no JWT"),
            (creds("a.b.c", "SUX"), "58 characters"),
        ):
            self.assertIn(words, str(self.assertRaises(ValueError, read_credentials, text)))
