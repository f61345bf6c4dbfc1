"""What must not get into a log: secrets in query strings, and characters that forge lines or drive terminals."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

MASK = "***"

_SECRETS = frozenset({
    "access_key", "apikey", "api_key", "auth", "authorization", "client_assertion", "code", "code_verifier", "cookie", "credential",
    "credentials", "id_token_hint", "jwt", "key", "nonce", "otp", "pass", "passphrase", "passwd", "password", "pin", "private_key",
    "pwd", "samlrequest", "samlresponse", "secret", "session", "session_id", "sessionid", "sid", "sig", "sign", "signature",
    "ticket", "token", "x_amz_credential",
})  # fmt: skip
_SECRET_ENDS = (
    "token",
    "secret",
    "password",
    "passwd",
    "signature",
    "apikey",
    "api_key",
    "access_key",
    "secret_key",
    "sessionid",
)

_SEPARATORS = re.compile("([&;])")
_USERINFO = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#]*@")
_KNOWN_NAMES = 4096


class Masker:
    """Replaces the values of query parameters that carry secrets.

    Remembers its verdict on the names it has seen, at most 4,096 of them.
    """

    def __init__(self) -> None:
        self._verdicts: dict[str, bool] = {}

    def query(self, query: str) -> str:
        """A query string (without `?`) with secrets replaced by `***`; names are judged decoded, in any case."""
        if "=" not in query:
            return query
        verdicts = self._verdicts
        parts = query.split("&") if ";" not in query else _SEPARATORS.split(query)
        masked = False
        for index, part in enumerate(parts):
            name, equals, _value = part.partition("=")
            secret = verdicts.get(name)
            if secret is None:
                secret = self._judge(name)
            if secret and equals:
                parts[index] = f"{name}={MASK}"
                masked = True
        if not masked:
            return query
        return "&".join(parts) if ";" not in query else "".join(parts)

    def url(self, url: str) -> str:
        """A URL (a Referer) with secrets in its query and fragment, and its user information, replaced."""
        if "@" in url:
            url = _USERINFO.sub(rf"\1{MASK}@", url)
        if "=" not in url:
            return url
        url, hash_, fragment = url.partition("#")
        url, question, query = url.partition("?")
        return url + question + self.query(query) + hash_ + (self.query(fragment) if fragment else "")

    def _judge(self, name: str) -> bool:
        if len(self._verdicts) >= _KNOWN_NAMES:
            self._verdicts.clear()
        plain = unquote_plus(unquote_plus(name)).strip().lower().replace("-", "_").rstrip("[]")
        inner = plain.rpartition("[")[2]
        verdict = any(form in _SECRETS or form.endswith(_SECRET_ENDS) for form in (plain, inner))
        if len(name) <= 128:
            self._verdicts[name] = verdict
        return verdict

    def __repr__(self) -> str:
        return f"<Masker {len(self._verdicts)} names judged>"


def text(raw: bytes) -> str:
    """Header bytes as text: UTF-8, what is not is shown as `\\xNN`."""
    if raw.isascii():
        return raw.decode("ascii")
    return visible(raw.decode("utf-8", "backslashreplace"))


def visible(value: str) -> str:
    """The value with every character that no font shows (controls, line and paragraph separators, bidi marks) as an escape."""
    if value.isprintable():
        return value
    return "".join([char if char.isprintable() else _escape(ord(char)) for char in value])


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
