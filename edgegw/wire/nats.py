"""The client's side of the NATS protocol (docs.nats.io, "NATS Protocol"): what a server sends becomes events, what we send bytes.

What other clients publish reaches us through the server as it is, so only what the server itself is answerable for can be garbage:
subjects need not be UTF-8 and headers need not be headers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_LINE = 4096
"""Bytes of a control line without its end, the server's own default."""
MAX_INFO = 32 * 1024
"""The same of INFO, which lists the addresses of a whole cluster."""
MAX_PAYLOAD = 1024 * 1024
"""Bytes of a message with its headers."""

PING = b"PING\r\n"
PONG = b"PONG\r\n"

_START = b"NATS/1.0"
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Info:
    """What the server says of itself, at first and whenever it changes. values: the JSON object, nothing in it is checked."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message for one of our subscriptions.

    sid: the subscription's number. reply: where an answer goes, empty for nowhere. headers: in their order. status: of messages
    that the server makes itself, 0 in all others; description: what it says besides.
    """

    subject: str
    sid: int
    reply: str = ""
    payload: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 0
    description: str = ""

    def header(self, name: str) -> str:
        """The first header of that name, in whatever case; empty: there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True)
class Ping:
    """Wants a PONG."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Everything sent before our PING was taken."""


@dataclass(frozen=True, slots=True)
class Ok:
    """Of a server that was told to be verbose."""


@dataclass(frozen=True, slots=True)
class Err:
    """The server refuses something; after most of them it closes. text: its words without the quotes, printable."""

    text: str


@dataclass(frozen=True, slots=True)
class Garbage:
    """This is no NATS server, or it is broken: nothing after it is looked at."""

    reason: str


Event = Info | Message | Ping | Pong | Ok | Err | Garbage


class _Wrong(Exception):
    """The line cannot be read."""


class Decoder:
    """Bytes of a server to events, in whatever pieces they come.

    Args:
        max_payload: messages larger than this are garbage.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self._max_payload = max_payload
        self._buffer = bytearray()
        self._looked = 0
        """Of the buffer, where there is no end of a line."""
        self._head: Message | None = None
        """What the payload that is awaited belongs to."""
        self._sizes = (0, 0)
        self._broken = False

    @property
    def held(self) -> int:
        """Bytes that are no event yet."""
        return len(self._buffer)

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes; what they complete."""
        if self._broken:
            return []
        self._buffer += data
        events: list[Event] = []
        try:
            while (event := self._payload() if self._head is not None else self._line()) is not None:
                if event is not _NOTHING:
                    events.append(event)
        except _Wrong as wrong:
            self._broken = True
            self._buffer.clear()
            events.append(Garbage(str(wrong)))
        return events

    def _line(self) -> Event | None:
        buffer = self._buffer
        end = buffer.find(b"\r\n", self._looked)
        limit = MAX_INFO if buffer[:5].upper() == b"INFO " else MAX_LINE
        # An end that has only begun counts as none of the line's bytes.
        if (end if end >= 0 else len(buffer) - buffer.endswith(b"\r")) > limit:
            raise _Wrong(f"a line of more than {limit} bytes")
        if end < 0:
            self._looked = max(len(buffer) - 1, 0)
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        self._looked = 0
        return self._read(line)

    def _read(self, line: bytes) -> Event:
        words = line.split(None, 1)
        verb = words[0].upper() if words and line.startswith(words[0]) else b""
        rest = words[1] if len(words) > 1 else b""
        if verb in (b"MSG", b"HMSG"):
            self._begin(rest, verb == b"HMSG")
            return _NOTHING
        if verb == b"-ERR":
            return Err(_printable(rest.strip().strip(b"'")))
        if verb == b"INFO":
            return Info(_object(rest))
        found = _WORDS.get(verb)
        if found is None or rest.strip():
            raise _Wrong(f"not a line of a NATS server: {_printable(line[:60])}")
        return found

    def _begin(self, rest: bytes, with_headers: bool) -> None:
        """`SUBJECT SID [REPLY] [HEADER-BYTES] BYTES`."""
        words = rest.split()
        fixed = 4 if with_headers else 3
        if len(words) not in (fixed, fixed + 1):
            raise _Wrong(f"a message with {len(words)} words before its payload")
        total = _number(words[-1])
        header = _number(words[-2]) if with_headers else 0
        if total > self._max_payload:
            raise _Wrong(f"a message of more than {self._max_payload} bytes")
        if header > total:
            raise _Wrong("a message whose headers are longer than itself")
        reply = _text(words[2]) if len(words) == fixed + 1 else ""
        self._head = Message(_text(words[0]), _number(words[1]), reply)
        self._sizes = header, total

    def _payload(self) -> Event | None:
        (header, total), head = self._sizes, self._head
        assert head is not None
        if len(self._buffer) < total + 2:
            return None
        if self._buffer[total : total + 2] != b"\r\n":
            raise _Wrong("a message that does not end where it should")
        content = bytes(self._buffer[:total])
        del self._buffer[: total + 2]
        self._head = None
        status, description, headers = _headers(content[:header]) if header else (0, "", ())
        return Message(head.subject, head.sid, head.reply, content[header:], headers, status, description)

    def __repr__(self) -> str:
        return f"<Decoder {'broken' if self._broken else f'{self.held} bytes held'}>"


_NOTHING = Ok()
"""Stands for: go on, this is no event. Compared by identity."""
_WORDS: Mapping[bytes, Event] = {b"PING": Ping(), b"PONG": Pong(), b"+OK": Ok()}


def _number(word: bytes) -> int:
    # The digits of `int` are more than these.
    if not word.isdigit() or len(word) > _MAX_DIGITS:
        raise _Wrong(f"not a number: {_printable(word[:30])}")
    return int(word)


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _Wrong("INFO without a JSON object")
    return found


def _headers(block: bytes) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    """Status, description, headers. Lines that are no headers are left out: nobody between us and the publisher looked at them."""
    first, *lines = block.decode("utf-8", "replace").split("\r\n")
    start, _, said = first.partition(" ")
    if start.encode("utf-8", "replace") != _START:
        return 0, "", ()
    code, _, description = said.strip().partition(" ")
    status = int(code) if len(code) == 3 and code.isascii() and code.isdigit() else 0
    split = (line.partition(":") for line in lines if ":" in line)
    return status, description.strip(), tuple((name.strip(), value.strip()) for name, _, value in split)


def _text(word: bytes) -> str:
    # What is sent back as it came (a subject to reply to) must survive, whatever its bytes are.
    return word.decode("utf-8", "surrogateescape")


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")


def _printable(words: bytes) -> str:
    return "".join(char if char.isprintable() else "?" for char in words.decode("utf-8", "replace"))


# What we send.


def is_subject(text: str, wildcards: bool = False) -> bool:
    """Whether a text can be a subject: tokens between dots, none of them empty, no blanks and no control characters.

    Args:
        wildcards: whether `*` may be a token, and `>` the last one; otherwise neither may be.
    """
    tokens = text.split(".")
    for at, token in enumerate(tokens):
        # What came with bytes that are not UTF-8 is let through: it is sent back as it came.
        if not token or any(char <= " " or char in "\x7f\x85\xa0\u2028\u2029" for char in token):
            return False
        wild = token == "*" or (token == ">" and at == len(tokens) - 1)
        if token in ("*", ">") and not (wild and wildcards):
            return False
    return True


def connect(options: Mapping[str, Any]) -> bytes:
    """CONNECT with these options."""
    return b"CONNECT " + json.dumps(options, separators=(",", ":")).encode() + b"\r\n"


def subscribe(subject: str, sid: int, queue: str = "") -> bytes:
    """SUB. queue: of those with the same, one gets each message. Raises ValueError: they cannot be subjects."""
    if not is_subject(subject, wildcards=True) or (queue and not is_subject(queue)):
        raise ValueError(f"cannot be subscribed to: {subject!r} {queue!r}")
    words = ["SUB", subject, *([queue] if queue else []), str(sid)]
    return _bytes(" ".join(words)) + b"\r\n"


def unsubscribe(sid: int) -> bytes:
    """UNSUB, at once."""
    return b"UNSUB %d\r\n" % sid


def publish(subject: str, payload: bytes = b"", reply: str = "", headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """PUB, or HPUB with headers. Raises ValueError: subject, reply or a header cannot be."""
    if not is_subject(subject) or (reply and not is_subject(reply)):
        raise ValueError(f"cannot be published to: {subject!r} {reply!r}")
    words = [subject, *([reply] if reply else [])]
    lines = [f"{name}: {value}" for name, value in headers if _is_header(name, value)]
    if not lines:
        return _bytes(f"PUB {' '.join(words)} {len(payload)}") + b"\r\n" + payload + b"\r\n"
    block = _START + b"\r\n" + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
    start = _bytes(f"HPUB {' '.join(words)} {len(block)} {len(block) + len(payload)}")
    return start + b"\r\n" + block + payload + b"\r\n"


def _is_header(name: str, value: str) -> bool:
    if not name or any(char in ":\r\n" or char <= " " for char in name) or "\r" in value or "\n" in value:
        raise ValueError(f"not a header: {name!r}")
    return True
