"""The one path normaliser: routing, policy, cache keys and forwarding all see its form.

It follows reference/trust.md A3.4, which is Envoy's advice for the edge on top of RFC 3986 6.2.2. The result is a fixed point
(normalising it again changes nothing), and it never names a place that the raw form does not name.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

EscapedSlashes = Literal["reject", "redirect", "keep"]


class PathError(ValueError):
    """A target that is refused with 400. reason: a stable snake_case name, listed in `edgegw.wire.reasons`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class NormalPath(NamedTuple):
    """path: the normalised form, ASCII, starts with `/`. redirect: the same form when policy wants a 307 to it, else None."""

    path: str
    redirect: str | None


_PLAIN = r"(?:/(?!\.\.?(?:/|\Z|\?))[A-Za-z0-9\-._~!$&'()*+,=:@]+)*/?"
is_plain = re.compile(_PLAIN).fullmatch
"""Matches a path that is normal already (or the empty string): no escape, parameter, dot segment or empty segment."""

split_plain = re.compile(rf"({_PLAIN})(?:\?([!-\"$-~]*))?").fullmatch
"""Matches `path?query` when the path is normal already and the query is allowed; groups: path, query."""

_is_query = re.compile(r"[!-\"$-~]*").fullmatch
_hostile = re.compile(r"[^!-~]|[#\\]|%(?![0-9A-Fa-f]{2})").search
_escape = re.compile(r"%[0-9A-Fa-f]{2}")
_to_escape = re.compile(r'["<>\[\]^`{|}]')
_slashes = re.compile(r"//+")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DOTS = (".", "..")


def normalise(target_path: str | bytes, escaped_slashes: EscapedSlashes = "reject") -> NormalPath:
    """The normal form of a request path (without query).

    Escapes of unreserved characters are decoded and the others upper-cased, printable characters that RFC 3986 does not allow
    raw are escaped, empty and dot segments are removed. `;parameters` are kept.

    Args:
        target_path: what stands before the `?`; starts with `/`.
        escaped_slashes: `%2F` is refused, decoded (with a redirect to the decoded form) or kept as it is.

    Raises:
        PathError: what no two servers read alike (trust.md A3.4).
    """
    path = target_path.decode("latin-1") if isinstance(target_path, bytes) else target_path
    if path and is_plain(path):
        return NormalPath(path, None)
    if not path.startswith("/"):
        raise PathError("bad_target", "a path starts with a slash")
    _refuse_hostile(path)
    path = _to_escape.sub(_escaped, path)
    redirect = False
    if "%" in path:
        path = _escape.sub(_unescaped, path)
        _refuse_bad_text(path)
        if "%2F" in path:
            if escaped_slashes == "reject":
                raise PathError("escaped_slash", "%2F in the path")
            if escaped_slashes == "redirect":
                path = path.replace("%2F", "/")
                redirect = True
    path = _without_dots(_slashes.sub("/", path))
    return NormalPath(path, path if redirect else None)


def check_query(query: str) -> str:
    """The query as it came: visible ASCII without `#`. It is forwarded unchanged, so nothing is decoded.

    Raises:
        PathError: white space, control, non-ASCII characters or a fragment.
    """
    if not _is_query(query):
        raise PathError("fragment_in_target" if "#" in query else "bad_query", "the query holds a forbidden character")
    return query


def routing_segment(segment: str) -> str:
    """What routing compares of a segment: the part before the first `;`."""
    return segment.partition(";")[0]


def _refuse_hostile(path: str) -> None:
    found = _hostile(path)
    if found is None:
        return
    char = found[0]
    if char == "#":
        raise PathError("fragment_in_target", "a fragment never travels in a request")
    if char == "\\":
        raise PathError("backslash", "some servers take a backslash for a slash")
    if char == "%":
        raise PathError("bad_escape", "% without two hex digits")
    if char > "~" and char != "\x7f":
        raise PathError("non_ascii_target", "raw bytes above 0x7E in the path")
    raise PathError("control_in_target", "white space or a control character in the path")


def _escaped(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def _unescaped(found: re.Match[str]) -> str:
    char = chr(int(found[0][1:], 16))
    return char if char in _UNRESERVED else found[0].upper()


def _refuse_bad_text(path: str) -> None:
    """What the escapes stand for must be text, and not text that hides a separator or an end."""
    codes = [int(escape[1:], 16) for escape in _escape.findall(path)]
    if 0 in codes:
        raise PathError("encoded_nul", "%00 in the path")
    if 0x5C in codes:
        raise PathError("backslash", "%5C in the path")
    if min(codes, default=0x20) < 0x20 or 0x7F in codes:
        raise PathError("encoded_control", "an escaped control character in the path")
    if max(codes, default=0) > 0x7F:
        raw = _escape.sub(lambda found: chr(int(found[0][1:], 16)), path).encode("latin-1")
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            raise PathError("bad_utf8", "the escapes in the path are not UTF-8") from None


def _without_dots(path: str) -> str:
    """Remove dot segments (RFC 3986 5.2.4); leaving the root is an error, not a no-op."""
    out: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment not in _DOTS:
            _refuse_hidden_dots(segment)
            out.append(segment)
        elif segment == "..":
            if not out:
                raise PathError("path_escapes_root", "more `..` than segments")
            out.pop()
    if segments[-1] in _DOTS:
        out.append("")
    return "/" + "/".join(out)


def _refuse_hidden_dots(segment: str) -> None:
    """`..;x` is a parent for servers that drop parameters first, `..%2Fx` for those that decode late."""
    if "." not in segment or (";" not in segment and "%" not in segment):
        return
    for piece in segment.split("%2F"):
        bare = piece.replace("%3B", ";").partition(";")[0]
        if bare in _DOTS:
            reason = "escaped_dot_segment" if piece != segment else "dot_segment_parameter"
            raise PathError(reason, "a dot segment in disguise")
