"""What Envoy and edgegw are asked."""

from typing import Any, NamedTuple


class Call(NamedTuple):
    """One HTTP request."""

    method: str
    target: str
    body: str | bytes | None = None
    headers: dict[str, str] = {}


def _gets(*targets: str) -> list[Call]:
    return [Call("GET", target) for target in targets]


_EVERYTHING = (
    '{"at":"2024-01-02T03:04:05.5Z","lasts":"3s","mask":"a,bC","free":{"a":[1,null]},"value":3,"list":[1],"someBig":"3",'
    '"counts":{"a":1},"ratio":"NaN","single":0.1,"big":5,"data":"_-8","color":1,"left":"","nope":{"a":[1]},'
    '"detail":{"@type":"type.googleapis.com/acme.Failure","code":3},"children":[{"text":"\\u00f6"},{}],"maybe":0}'
)
_BODIES = (
    "", "{}", "null", "[]", "5", "{", "{} x", '{"small":3}', '{"small":"3"}', '{"small":1.0}', '{"small":1.5}', '{"small":true}',
    '{"small":99999999999}', '{"small":1,"small":2}', '{"nope":1}', '{"child":{"nope":1,"text":"a"}}', '{"color":"NOPE"}',
    '{"color":7}', '{"color":"RED"}', '{"text":null}', '{"text":5}', '{"flag":"true"}', '{"data":"***"}', '{"at":"x"}', '{"at":5}',
    '{"left":"a","right":1}', '{"detail":{"@type":"type.googleapis.com/no.Such"}}', '{"someFlag":false}', '{"snake_case_name":"a"}',
    '{"snakeCaseName":"a"}', '{"tags":["a","b"],"numbers":[1,"2"],"colors":["RED",2]}', _EVERYTHING,
)  # fmt: skip

SAME: list[Call] = [
    # Paths.
    *_gets(
        "/v1/orders/a", "/v1/orders/a%20b", "/v1/orders/a%2Db", "/v1/orders/a:b", "/v1/orders/a;b", "/v1/orders/%C3%B6%25",
        "/v1/orders/latest", "/v1/orders/", "/v1/orders", "/v1/users/u/orders/o", "/v1/numbers/12/true/RED",
        "/v1/numbers/x/true/RED", "/v1/numbers/1/maybe/RED", "/v1/times/2024-01-02T03:04:05Z", "/v1/times/xyz", "/v1/deep/a/b/c",
        "/v1/deep/a%21/c%20d", "/v1/deep", "/v1/deep/", "/v1/deep/a/", "/v1/any/x",
    ),
    Call("OPTIONS", "/v1/any/x"),
    Call("DELETE", "/v1/orders/x"),
    Call("POST", "/v1/deep/a/b:cancel", "{}"),
    # Queries.
    *_gets(
        "/v1/orders?small=3&big=9007199254740993&huge=18446744073709551615&flag=true&data=aGk%3D&ratio=1.5&single=2&color=RED",
        "/v1/orders?tags=a&tags=b&numbers=1&numbers=2&colors=GREEN&colors=1&child.text=x&child.child.text=y",
        "/v1/orders?at=2024-01-02T03:04:05Z&lasts=1.5s&mask=a,b.c&some_text=x&someBig=4&someFlag=true&someData=aGk%3D",
        "/v1/orders?someRatio=2.5&maybe=0&times=2024-01-02T03:04:05Z&value=a&file.contentType=x&left=",
        "/v1/orders?snakeCaseName=1&snake_case_name=2", "/v1/orders?nope=1", "/v1/orders?child=1", "/v1/orders?counts.a=1",
        "/v1/orders?child.nope=1", "/v1/orders?small=abc", "/v1/orders?small=99999999999", "/v1/orders?small=",
        "/v1/orders?small=1.0", "/v1/orders?small=0x1", "/v1/orders?small=%201", "/v1/orders?flag=1", "/v1/orders?flag=yes",
        "/v1/orders?flag=TRUE", "/v1/orders?flag=maybe", "/v1/orders?color=red", "/v1/orders?color=7", "/v1/orders?color=2",
        "/v1/orders?text=a+b&text=c", "/v1/orders?text=a+b", "/v1/orders?text", "/v1/orders?=1", "/v1/orders?",
        "/v1/orders?&&text=a&", "/v1/orders?text=%zz",
        "/v1/orders?text=a=b", "/v1/orders?left=a&right=2", "/v1/orders?free.a=a", "/v1/orders?list=a",
        "/v1/orders?detail=x", "/v1/orders?ratio=NaN", "/v1/orders?ratio=-Infinity", "/v1/orders?single=inf",
        "/v1/orders?single=1e39",
        "/v1/orders?data=__8", "/v1/orders?data=*", "/v1/orders?mask=snake_case",
    ),
    # Bodies.
    *(Call("POST", "/v1/orders/a:cancel", body) for body in _BODIES),
    *(Call("POST", "/v1/orders", body) for body in _BODIES),
    Call("POST", "/v1/orders?small=4", '{"text":"t"}'),
    Call("POST", "/v1/orders?child.small=4&child.text=q", '{"text":"t"}'),
    Call("PATCH", "/v1/shops/1/orders/2?big=3", '{"small":1}'),
    Call("PATCH", "/v1/shops/a%20b/orders/2", '{"small":1}'),
    Call("PUT", "/v1/tags", '["a","b"]'),
    Call("PUT", "/v1/children", '[{"text":"a"}]'),
    Call("PUT", "/v1/counts", '{"a":1}'),
    # Bytes of any type.
    *_gets("/v1/files/a/b.txt", "/v1/pieces/abc?small=3", "/v1/pieces/abc?small=0"),
    Call("POST", "/v1/files/a/b", b"raw \x01\xff", {"content-type": "image/x"}),
    Call("POST", "/v1/files/a/b?small=1", "raw"),
    Call("POST", "/v1/raw", "abc", {"content-type": "text/q"}),
    Call("POST", "/v1/answer/file", '{"file":{"contentType":"a/b","data":"aGk="}}'),
    # Streams.
    *_gets("/v1/orders:watch?small=2", "/v1/orders:watch?small=500&text=abc", "/v1/orders:watch?small=0"),
    # Failures.
    *_gets(*(f"/v1/fail/{code}?message=no%20such%20%C3%B6" for code in range(1, 17))),
    *_gets(
        "/v1/fail/13?message=x&details=true", "/v1/fail/3/later?message=late&after=2", "/v1/fail/3/later?message=late",
        "/v1/fail/5/later?message=late&details=true",
    ),
]  # fmt: skip

WITH_OPTIONS: list[Call] = [
    *_gets(
        "/v1/orders/a?nope=1&child.text=a&color=RED", "/v1/orders/x?child.nope=1&detail.x=1", "/v1/orders/x?child=1",
        "/v1/orders?text=a+b%2Bc", "/v1/orders:watch?small=2", "/v1/orders:watch?small=0", "/v1/files/a", "/v1/pieces/a?small=0",
        "/v1/fail/5?message=no%20such", "/v1/fail/5?message=x&details=true", "/v1/fail/3/later?message=late&after=2",
        "/v1/fail/3/later?message=l%C3%B6te", "/v1/fail/3/later?message=late&details=true",
    ),
    Call("POST", "/v1/orders/a:cancel", _EVERYTHING),
]  # fmt: skip

Expected = tuple[int, Any]

# The call, our status and document, Envoy's. None: the document is not looked at.
DIFFERENT: list[tuple[Call, Expected, Expected]] = [
    # The path is what a request was routed and judged by: neither query nor body overrules it.
    (Call("GET", "/v1/orders/x?text=y"), (400, None), (200, {"text": "y"})),
    (Call("POST", "/v1/orders/x:cancel", '{"text":"y"}'), (200, {"text": "x"}), (200, {"text": "y"})),
    # Without `body` there is none (http.proto); Envoy reads it all the same.
    (Call("DELETE", "/v1/orders/x", "ignored"), (200, {}), (400, None)),
    (Call("GET", "/v1/orders/x", '{"small":1}'), (200, {"text": "x"}), (200, {"text": "x", "small": 1})),
    # A scalar may be a body; Envoy sends no message at all.
    (Call("PUT", "/v1/small", "5"), (200, {"small": 5}), (501, None)),
    # Not text: refused here, not by the server.
    (Call("GET", "/v1/orders?text=%FF"), (400, None), (500, None)),
    # A repeated message can't be a parameter (http.proto).
    (Call("GET", "/v1/orders?children.text=1"), (400, None), (200, {"children": [{"text": "1"}]})),
    # protobuf's JSON has no lists with null in them, and no lists of one without brackets.
    (Call("POST", "/v1/orders/a:cancel", '{"children":[null]}'), (400, None), (200, {"text": "a"})),
    (Call("PUT", "/v1/tags", '"a"'), (400, None), (200, {"tags": ["a"]})),
    # A stream of requests.
    (Call("POST", "/v1/collect", '[{"small":1}]'), (501, None), (200, {"small": 1})),
    # A slash that is escaped is refused before it is looked at (`escaped_slashes`).
    (Call("GET", "/v1/orders/a%2Fb"), (400, None), (200, {"text": "a/b"})),
]
