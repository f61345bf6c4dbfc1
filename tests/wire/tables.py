"""The tables of reference/trust.md A3 as data: the codec tests and the end-to-end differential tests read the same rows."""

from __future__ import annotations

from typing import NamedTuple

P = b"POST / HTTP/1.1\r\nHost: a\r\n"
G = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = P + b"Transfer-Encoding: chunked\r\n\r\n"


class Row(NamedTuple):
    """One hostile or harmless message.

    name: row of the table. data: bytes of a downstream peer. status: the refusal, 0 when it is accepted. reason: its name.
    body: the decoded body when accepted.
    """

    name: str
    data: bytes
    status: int = 0
    reason: str = ""
    body: bytes = b""


def _length(value: bytes, body: bytes = b"") -> bytes:
    return P + b"Content-Length: " + value + b"\r\n\r\n" + body


def _coding(*values: bytes) -> bytes:
    return P + b"".join(b"Transfer-Encoding: " + value + b"\r\n" for value in values) + b"\r\n1\r\na\r\n0\r\n\r\n"


FRAMING = (
    Row("F1", P + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400, "both_te_cl"),
    Row("F2", P + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n1\r\nZ\r\n0\r\n\r\n", 400, "both_te_cl"),
    Row("F3", P + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, "duplicate_content_length"),
    Row("F4 differing", P + b"Content-Length: 1\r\nContent-Length: 5\r\n\r\na", 400, "duplicate_content_length"),
    Row(
        "F4 spelt differently", P + b"Content-Length: 1\r\nCONTENT-LENGTH: 5\r\n\r\na", 400, "duplicate_content_length"
    ),
    Row("F4 list", _length(b"1, 1", b"a"), 400, "bad_content_length"),
    Row("F4 plus", _length(b"+1", b"a"), 400, "bad_content_length"),
    Row("F4 minus", _length(b"-1", b"a"), 400, "bad_content_length"),
    Row("F4 hex", _length(b"0x1", b"a"), 400, "bad_content_length"),
    Row("F4 empty", _length(b""), 400, "bad_content_length"),
    Row("F4 Arabic digit", _length("\u0661".encode(), b"a"), 400, "bad_content_length"),
    Row("F4 superscript", _length(b"\xb2", b"a"), 400, "bad_content_length"),
    Row("F4 inner space", _length(b"1 1", b"a"), 400, "bad_content_length"),
    Row("F4 underscore", _length(b"1_0", b"a"), 400, "bad_content_length"),
    Row("F5", _length(b"1" * 5000), 400, "content_length_too_large"),
    Row("F6", _length(b"%d" % 2**70), 400, "content_length_too_large"),
    Row("F6 2^63", _length(b"%d" % 2**63), 400, "content_length_too_large"),
    Row("F6 largest", _length(b"%d" % (2**63 - 1))),
    Row("F7", P + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\na", 400, "both_te_cl"),
    Row("F7 alone", _coding(b"identity"), 501, "unknown_transfer_coding"),
    Row("F8", _coding(b"chunked", b"identity"), 400, "chunked_not_last"),
    Row("F8 reversed", _coding(b"identity", b"chunked"), 501, "unknown_transfer_coding"),
    Row("F9 gzip, chunked", _coding(b"gzip, chunked"), 501, "unknown_transfer_coding"),
    Row("F9 chunked, identity", _coding(b"chunked, identity"), 400, "chunked_not_last"),
    Row("F9 xchunked", _coding(b"xchunked"), 501, "unknown_transfer_coding"),
    Row("F9 chunked,chunked", _coding(b"chunked,chunked"), 400, "chunked_twice"),
    Row("F9 chunked twice", _coding(b"chunked", b"chunked"), 400, "chunked_twice"),
    Row("F9 any case", _coding(b"ChUnKeD"), body=b"a"),
    Row("F10 space", P + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "space_before_colon"),
    Row("F10 tab", P + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400, "space_before_colon"),
    Row("F10 VT", P + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, "control_byte"),
    Row("F10 NBSP", P + b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n", 400, "bad_transfer_encoding"),
    Row("F10 empty", _coding(b""), 400, "bad_transfer_encoding"),
    Row("F10 empty element", _coding(b",chunked"), 400, "bad_transfer_encoding"),
    Row("F10 quoted", _coding(b'"chunked"'), 400, "bad_transfer_encoding"),
    Row("F10 parameter", _coding(b"chunked;q=1"), 501, "unknown_transfer_coding"),
    Row("F11", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "te_in_http10"),
    Row("F12", P + b"X: a\r\n b\r\n\r\n", 400, "obs_fold"),
    Row("F12 coding", P + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, "obs_fold"),
    Row("F12 tab", P + b"X: a\r\n\tb\r\n\r\n", 400, "obs_fold"),
    Row("F13 size line", CHUNKED + b"1\na\r\n0\r\n\r\n", 400, "bare_lf"),
    Row("F13 in extension", CHUNKED + b"1;x=\ny\r\na\r\n0\r\n\r\n", 400, "bare_lf"),
    Row("F13 after data", CHUNKED + b"1\r\na\n0\r\n\r\n", 400, "bad_chunk_end"),
    Row("F13 bare CR", CHUNKED + b"1\ra\r\n0\r\n\r\n", 400, "bare_cr"),
    Row("F14", CHUNKED + b"1;x=y\r\na\r\n0;z\r\n\r\n", body=b"a"),
    Row("F14 quoted", CHUNKED + b'1;x="y;\\"";z\r\na\r\n0\r\n\r\n', body=b"a"),
    Row("F15", CHUNKED + b'1;x="\r\n"\r\n0\r\n\r\n', 400, "bad_chunk_extension"),
    Row("F15 one long", CHUNKED + b"1;x=" + b"y" * 5000 + b"\r\na\r\n0\r\n\r\n", 400, "chunk_overhead"),
    Row("F15 many short", CHUNKED + b"1;x=yyyyyyyyyyyy\r\na\r\n" * 300, 400, "chunk_overhead"),
    Row("F16 0x1", CHUNKED + b"0x1\r\na\r\n0\r\n\r\n", 400, "bad_chunk_size"),
    Row("F16 space", CHUNKED + b"1 \r\na\r\n0\r\n\r\n", 400, "bad_chunk_size"),
    Row("F16 leading space", CHUNKED + b" 1\r\na\r\n0\r\n\r\n", 400, "bad_chunk_size"),
    Row("F16 20 digits", CHUNKED + b"1" * 20 + b"\r\na\r\n", 400, "bad_chunk_size"),
    Row("F16 900 zeros", CHUNKED + b"0" * 900 + b"1\r\na\r\n0\r\n\r\n", 400, "bad_chunk_size"),
    Row("F16 zeros for ever", CHUNKED + b"0" * 5000, 400, "bad_chunk_size"),
    Row("F16 16 digits", CHUNKED + b"0" * 15 + b"1\r\na\r\n0\r\n\r\n", body=b"a"),
    Row("F16 2^64-1", CHUNKED + b"f" * 16 + b"\r\na\r\n", 400, "chunk_too_large"),
    Row("F16 negative", CHUNKED + b"-1\r\na\r\n0\r\n\r\n", 400, "bad_chunk_size"),
    Row("F16 empty", CHUNKED + b"\r\na\r\n0\r\n\r\n", 400, "bad_chunk_size"),
    Row("F16 underscore", CHUNKED + b"1_0\r\na\r\n0\r\n\r\n", 400, "bad_chunk_size"),
    Row("F16 Arabic digit", CHUNKED + "\u0661".encode() + b"\r\na\r\n0\r\n\r\n", 400, "bad_chunk_size"),
    Row("F17", CHUNKED + b"1\r\nab\r\n0\r\n\r\n", 400, "bad_chunk_end"),
    Row("F18 dropped", CHUNKED + b"1\r\na\r\n0\r\nX-Auth: 1\r\n\r\n", body=b"a"),
    Row("F18 malformed", CHUNKED + b"1\r\na\r\n0\r\nno colon\r\n\r\n", 400, "malformed_trailer"),
    Row("F18 folded", CHUNKED + b"1\r\na\r\n0\r\nX: a\r\n b\r\n\r\n", 400, "malformed_trailer"),
    Row("F18 bare LF", CHUNKED + b"1\r\na\r\n0\r\nX: a\n\r\n\r\n", 400, "bare_lf"),
    Row("F18 endless", CHUNKED + b"0\r\n" + b"X: a\r\n" * 4000, 400, "trailer_too_large"),
    Row("F19 all", b"POST / HTTP/1.1\nHost: a\n\n", 400, "bare_lf"),
    Row("F19 one", b"POST / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, "bare_lf"),
    Row("F19 first byte", b"\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bare_lf"),
    Row("F19 end", P + b"\n", 400, "bare_lf"),
    Row("F20 CR", P + b"X: a\rb\r\n\r\n", 400, "bare_cr"),
    Row("F20 CR before CRLF", P + b"X: a\r\r\n\r\n", 400, "bare_cr"),
    Row("F20 NUL", P + b"X: a\x00b\r\n\r\n", 400, "nul_byte"),
    Row("F21", P + b"X: a\x01b\r\n\r\n", 400, "control_byte"),
    Row("F21 DEL", P + b"X: a\x7fb\r\n\r\n", 400, "control_byte"),
    Row("F21 tab is white space", P + b"X: a\tb\r\n\r\n"),
    Row("F21 obs-text", P + b"X: \xe9\r\n\r\n"),
    Row("F22 no colon", P + b"X\r\n\r\n", 400, "missing_colon"),
    Row("F22 empty name", P + b": x\r\n\r\n", 400, "empty_field_name"),
    Row("F22 first", b"POST / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "space_before_first_field"),
    Row("F22 separator in name", P + b"X(y): z\r\n\r\n", 400, "bad_field_name"),
    Row("F22 high byte in name", P + b"X\xe9: z\r\n\r\n", 400, "bad_field_name"),
    Row("F23", P + b"X_Forwarded_For: 1\r\n\r\n", 400, "underscore_in_name"),
    Row("F23 length", P + b"Content_Length: 1\r\n\r\na", 400, "underscore_in_name"),
    Row("F25", P + b"Expect: foo\r\nContent-Length: 1\r\n\r\na", 417, "unknown_expectation"),
    Row(
        "F25 two", P + b"Expect: 100-continue\r\nExpect: foo\r\nContent-Length: 1\r\n\r\na", 417, "unknown_expectation"
    ),
    Row("F26", P + b"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na", body=b"a"),
    Row("F27", G + b"Content-Length: 3\r\n\r\nabc", body=b"abc"),
)
"""A3.1. F24, F28 and F29 are about what follows, and have tests of their own."""


def _get(target: bytes, host: bytes = b"a") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


def _line(line: bytes) -> bytes:
    return line + b"\r\nHost: a\r\n\r\n"


TARGETS = (
    Row("T1", b"GET / HTTP/1.1\r\n\r\n", 400, "missing_host"),
    Row("T1 1.0", b"GET / HTTP/1.0\r\n\r\n"),
    Row("T2", G + b"Host: b\r\n\r\n", 400, "duplicate_host"),
    Row("T2 equal", G + b"host: a\r\n\r\n", 400, "duplicate_host"),
    Row("T3 space", _get(b"/", b"a b"), 400, "bad_host"),
    Row("T3 slash", _get(b"/", b"a/@c"), 400, "bad_host"),
    Row("T3 user", _get(b"/", b"u:p@a"), 400, "bad_host"),
    Row("T3 empty", _get(b"/", b""), 400, "bad_host"),
    Row("T3 list", _get(b"/", b"a,b"), 400, "bad_host"),
    Row("T3 empty port", _get(b"/", b"a:"), 400, "bad_host"),
    Row("T3 port 0", _get(b"/", b"a:0"), 400, "bad_host"),
    Row("T3 port 65536", _get(b"/", b"a:65536"), 400, "bad_host"),
    Row("T3 escaped", _get(b"/", b"%61"), 400, "bad_host"),
    Row("T3 two dots", _get(b"/", b"a..b"), 400, "bad_host"),
    Row("T3 not IPv6", _get(b"/", b"[::g]"), 400, "bad_host"),
    Row("T3 zone", _get(b"/", b"[fe80::1%25eth0]"), 400, "bad_host"),
    Row("T3 IPv6", _get(b"/", b"[::1]:8080")),
    Row("T4", _get(b"http://evil/x"), 400, "host_mismatch"),
    Row("T4 port", _get(b"http://a:81/x"), 400, "host_mismatch"),
    Row("T4 scheme port", _get(b"https://a:80/x"), 400, "host_mismatch"),
    Row("T4 equal", _get(b"http://a/x")),
    Row("T4 equal, normalised", _get(b"HTTP://A.:80/x", b"a")),
    Row("T4 user", _get(b"http://a@a/x"), 400, "bad_target"),
    Row("T4 other scheme", _get(b"ftp://a/x"), 400, "bad_target"),
    Row("T4 no host, 1.1", b"GET http://a/x HTTP/1.1\r\n\r\n", 400, "missing_host"),
    Row("T5 authority", _get(b"a:80"), 400, "bad_target"),
    Row("T5 word", _get(b"foo"), 400, "bad_target"),
    Row("T5 star", _get(b"*"), 400, "bad_target"),
    Row("T6", _line(b"CONNECT a:443 HTTP/1.1"), 405, "connect_method_refused"),
    Row("T7", _line(b"TRACE / HTTP/1.1"), 405, "trace_refused"),
    Row("T8", _line(b"OPTIONS * HTTP/1.1")),
    Row("T9", _line(b"get / HTTP/1.1"), 501, "unknown_method"),
    Row("T9 not a token", _line(b"G(T / HTTP/1.1"), 400, "bad_method"),
    Row("T9 RTSP", _line(b"DESCRIBE / RTSP/1.0"), 400, "bad_version"),
    Row("T10 0.9", b"GET /\r\n\r\n", 400, "http09_request"),
    Row("T10 lower case", _line(b"GET / http/1.1"), 400, "bad_version"),
    Row("T10 1.2", _line(b"GET / HTTP/1.2"), 505, "version_not_supported"),
    Row("T10 2.0", _line(b"GET / HTTP/2.0"), 505, "version_not_supported"),
    Row("T10 1.10", _line(b"GET / HTTP/1.10"), 400, "bad_version"),
    Row("T10 01.1", _line(b"GET / HTTP/01.1"), 400, "bad_version"),
    Row("T10 tab", _line(b"GET\t/\tHTTP/1.1"), 400, "malformed_request_line"),
    Row("T10 double space", _line(b"GET  / HTTP/1.1"), 400, "malformed_request_line"),
    Row("T10 trailing space", _line(b"GET / HTTP/1.1 "), 400, "malformed_request_line"),
    Row("T10 leading space", _line(b" GET / HTTP/1.1"), 400, "malformed_request_line"),
    Row("T10 one blank line", b"\r\n" + G + b"\r\n"),
    Row("T10 two blank lines", b"\r\n\r\n" + G + b"\r\n", 400, "malformed_request_line"),
    Row("T11", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "http2_preface"),
    Row("T11 TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "tls_on_plain_port"),
    Row("T12", _get(b"/" + b"a" * 8192), 414, "target_too_long"),
    Row("T12 far too long", _get(b"/" + b"a" * 9000), 414, "target_too_long"),
    Row("T12 endless", b"GET /" + b"a" * 9000, 414, "target_too_long"),
    Row("T12 longest", _get(b"/" + b"a" * 8191)),
    Row("T13 bytes", G + (b"X: " + b"a" * 4000 + b"\r\n") * 5 + b"\r\n", 431, "head_too_large"),
    Row("T13 endless", G + b"X: " + b"a" * 17000, 431, "head_too_large"),
    Row("T13 fields", G + b"X: a\r\n" * 100 + b"\r\n", 431, "too_many_fields"),
    Row("T13 most fields", G + b"X: a\r\n" * 99 + b"\r\n"),
    Row("T13 one field", G + b"X: " + b"a" * 8200 + b"\r\n\r\n", 431, "field_too_large"),
    Row("T14", _get("/\u00e9".encode()), 400, "non_ascii_target"),
    Row("T14 query", _get("/?\u00e9".encode()), 400, "bad_query"),
    Row("T15", _get(b"/x#y"), 400, "fragment_in_target"),
    Row("T15 query", _get(b"/x?a#y"), 400, "fragment_in_target"),
    Row("T15 absolute", _get(b"http://a#y"), 400, "fragment_in_target"),
)
"""A3.2."""

PATHS: tuple[tuple[str, str, str], ...] = (
    # (raw, normal form, or "" and the reason)
    ("/public/%2e%2e/admin", "/admin", ""),
    ("/public/.%2e/admin", "/admin", ""),
    ("/public/%2E./admin", "/admin", ""),
    ("/public%2f..%2fadmin", "", "escaped_slash"),
    ("/public/..%5cadmin", "", "backslash"),
    ("/public\\..\\admin", "", "backslash"),
    ("//admin", "/admin", ""),
    ("/a////b", "/a/b", ""),
    ("/./admin", "/admin", ""),
    ("/admin/.", "/admin/", ""),
    ("/admin/x/..", "/admin/", ""),
    ("/ADMIN", "/ADMIN", ""),
    ("/admin;x=1", "/admin;x=1", ""),
    ("/public/..;/admin", "", "dot_segment_parameter"),
    ("/public/.;/admin", "", "dot_segment_parameter"),
    ("/public/%2e%2e;x/admin", "", "dot_segment_parameter"),
    ("/public/..%3b/admin", "", "dot_segment_parameter"),
    ("/%c0%ae%c0%ae/admin", "", "bad_utf8"),
    ("/%ed%a0%80", "", "bad_utf8"),
    ("/%ff", "", "bad_utf8"),
    ("/admin%00.css", "", "encoded_nul"),
    ("/a%0d%0aSet-Cookie:x", "", "encoded_control"),
    ("/admin%2Ecss", "/admin.css", ""),
    ("/%61dmin", "/admin", ""),
    ("/%7euser", "/~user", ""),
    ("/a%3ab%c3%a9", "/a%3Ab%C3%A9", ""),
    ("/a%252e%252e/b", "/a%252e%252e/b", ""),
    ("/..", "", "path_escapes_root"),
    ("/a/../../b", "", "path_escapes_root"),
    ("/%2e%2e/x", "", "path_escapes_root"),
    ("/a%", "", "bad_escape"),
    ("/a%2", "", "bad_escape"),
    ("/a%zz", "", "bad_escape"),
    ("/a b", "", "control_in_target"),
    ("/a\x00", "", "control_in_target"),
    ("/a\x7f", "", "control_in_target"),
    ("/\u00e9", "", "non_ascii_target"),
    ("/x#y", "", "fragment_in_target"),
    ('/a[1]|{x}^`"<>', "/a%5B1%5D%7C%7Bx%7D%5E%60%22%3C%3E", ""),
    ("/.well-known/x", "/.well-known/x", ""),
    ("/...", "/...", ""),
    ("/a..b", "/a..b", ""),
    ("/", "/", ""),
    ("//", "/", ""),
    ("", "", "bad_target"),
    ("a", "", "bad_target"),
)
"""A3.4 with `escaped_slashes: reject`."""

NAMED = "connection_names_protected"

CONNECTION_FIELDS = (
    Row("A3.5", G + b"Connection: close, X-Forwarded-For, X-Auth-User\r\nX-Auth-User: admin\r\n\r\n", 400, NAMED),
    Row("A3.5 host", G + b"Connection: Host\r\n\r\n", 400, NAMED),
    Row("A3.5 length", P + b"Connection: content-length\r\nContent-Length: 1\r\n\r\na", 400, NAMED),
    Row("A3.5 authorization", G + b"Connection: authorization\r\n\r\n", 400, NAMED),
    Row("A3.5 cookie", G + b"Connection: x, cookie\r\n\r\n", 400, NAMED),
    Row("A3.5 forwarded", G + b"Connection: forwarded\r\n\r\n", 400, NAMED),
    Row("A3.5 client certificate", G + b"Connection: x-client-cert-subject\r\n\r\n", 400, NAMED),
    Row("A3.5 second line", G + b"Connection: close\r\nConnection: x-real-ip\r\n\r\n", 400, NAMED),
    Row("A3.5 not tokens", G + b"Connection: close foo\r\n\r\n", 400, "bad_connection"),
    Row("A3.5 harmless", G + b"Connection: close, X-Own\r\n\r\n"),
)
"""A3.5, as far as a codec decides."""

REQUESTS = FRAMING + TARGETS + CONNECTION_FIELDS
"""Every row of a downstream peer."""

OK = b"HTTP/1.1 200 OK\r\n"

UPSTREAM = (
    Row("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", 502, "bare_lf"),
    Row("one bare LF", OK + b"X: a\nContent-Length: 0\r\n\r\n", 502, "bare_lf"),
    Row("status 20", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", 502, "bad_status"),
    Row("status 999", b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", 502, "bad_status"),
    Row("status 099", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", 502, "bad_status"),
    Row("status 2000", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", 502, "bad_status"),
    Row("no status", b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", 502, "bad_status"),
    Row("NUL in value", OK + b"X: a\x00\r\nContent-Length: 0\r\n\r\n", 502, "nul_byte"),
    Row("control in value", OK + b"X: a\x1b\r\nContent-Length: 0\r\n\r\n", 502, "control_byte"),
    Row("control in reason", b"HTTP/1.1 200 \x01\r\nContent-Length: 0\r\n\r\n", 502, "control_byte"),
    Row("10 000 fields", OK + b"X: a\r\n" * 10000, 502, "head_too_large"),
    Row("201 fields", OK + b"X: a\r\n" * 201 + b"\r\n", 502, "too_many_fields"),
    Row("200 fields", OK + b"X: a\r\n" * 199 + b"Content-Length: 0\r\n\r\n"),
    Row("32 KiB head", OK + (b"X: " + b"a" * 8000 + b"\r\n") * 5, 502, "head_too_large"),
    Row("9 informational", b"HTTP/1.1 103 E\r\n\r\n" * 9, 502, "too_many_informational"),
    Row("8 informational", b"HTTP/1.1 103 E\r\n\r\n" * 8 + OK + b"Content-Length: 1\r\n\r\na", body=b"a"),
    Row(
        "CL and TE",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        502,
        "both_te_cl",
    ),
    Row("CL twice", OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 502, "duplicate_content_length"),
    Row("CL list", OK + b"Content-Length: 1, 1\r\n\r\na", 502, "bad_content_length"),
    Row("CL 2^63", OK + b"Content-Length: %d\r\n\r\n" % 2**63, 502, "content_length_too_large"),
    Row("TE gzip", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502, "unknown_transfer_coding"),
    Row("TE identity", OK + b"Transfer-Encoding: identity\r\n\r\n", 502, "unknown_transfer_coding"),
    Row("TE in 1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, "te_in_http10"),
    Row("unasked 101", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", 502, "unasked_101"),
    Row("version 2.0", b"HTTP/2.0 200 OK\r\n\r\n", 502, "version_not_supported"),
    Row("version 1.2, blank reason", b"HTTP/1.2 200 \r\n\r\n", 502, "version_not_supported"),
    Row("version 1.2", b"HTTP/1.2 200 OK\r\n\r\n", 502, "version_not_supported"),
    Row("lower case", b"http/1.1 200 OK\r\n\r\n", 502, "bad_status_line"),
    Row("ICY", b"ICY 200 OK\r\n\r\n", 502, "bad_status_line"),
    Row("a banner", b"SSH-2.0-OpenSSH_9.2\r\n", 502, "bad_status_line"),
    Row("blank line first", b"\r\nHTTP/1.1 200 OK\r\n\r\n", 502, "bad_status_line"),
    Row("two spaces", b"HTTP/1.1  200 OK\r\n\r\n", 502, "bad_status"),
    Row("folded field", OK + b"X: a\r\n b\r\n\r\n", 502, "obs_fold"),
    Row("no colon", OK + b"X\r\n\r\n", 502, "missing_colon"),
    Row("space before colon", OK + b"Content-Length : 1\r\n\r\na", 502, "space_before_colon"),
    Row("bad chunk size", OK + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 502, "bad_chunk_size"),
    Row("bare LF in chunk size", OK + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", 502, "bare_lf"),
    Row("chunk too long", OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 502, "bad_chunk_end"),
    Row("endless extension", OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 9000, 502, "chunk_overhead"),
    Row("malformed trailer", OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n", 502, "malformed_trailer"),
    Row("underscore", OK + b"X_Y: a\r\nContent-Length: 0\r\n\r\n"),
    Row("no reason, no space", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
    Row("high bytes in reason", b"HTTP/1.1 200 \xe9\r\nContent-Length: 0\r\n\r\n"),
    Row("chunked", OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", body=b"a"),
)
"""A3.3, the upstream side: whatever is refused is a 502, and the connection is never used again."""
