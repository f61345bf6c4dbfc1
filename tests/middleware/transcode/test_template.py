"""Tests of edgegw.middleware.transcode.template."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.middleware.transcode.template import Template, TemplateError, Variable, parse

GOOD: list[tuple[str, tuple[str, ...], str, tuple[tuple[str, int, int | None], ...]]] = [
    ("/v1/orders", ("v1", "orders"), "", ()),
    ("/v1/{id}", ("v1", "*"), "", (("id", 1, 2),)),
    ("/v1/{id=*}", ("v1", "*"), "", (("id", 1, 2),)),
    ("/v1/{id=**}", ("v1", "**"), "", (("id", 1, None),)),
    ("/v1/{name=shops/*/orders/*}", ("v1", "shops", "*", "orders", "*"), "", (("name", 1, 5),)),
    ("/v1/{name=shops/*}/orders/{id}", ("v1", "shops", "*", "orders", "*"), "", (("name", 1, 3), ("id", 4, 5))),
    ("/v1/{a.b_c.d}", ("v1", "*"), "", (("a.b_c.d", 1, 2),)),
    ("/v1/{id}:cancel", ("v1", "*"), "cancel", (("id", 1, 2),)),
    ("/v1/{name=deep/**}:cancel", ("v1", "deep", "**"), "cancel", (("name", 1, None),)),
    ("/v1/orders:watch", ("v1", "orders"), "watch", ()),
    ("/v1/*/orders/**", ("v1", "*", "orders", "**"), "", ()),
    ("/**", ("**",), "", ()),
    ("/v1/a:b/c", ("v1", "a:b", "c"), "", ()),
    ("/v1/sch\u00f6n", ("v1", "sch%C3%B6n"), "", ()),
    ("/v1/%7Euser", ("v1", "~user"), "", ()),
]

BAD: list[tuple[str, str]] = [
    ("", "does not start with `/`"),
    ("v1/orders", "does not start with `/`"),
    ("/", "empty segment"),
    ("/v1//a", "empty segment"),
    ("/v1/", "empty segment"),
    ("/v1/{id", "empty segment, or braces"),
    ("/v1/id}", "part of its segment"),
    ("/v1/{id}x", "part of its segment"),
    ("/v1/{a}{b}", "part of its segment"),
    ("/v1/x{a}", "part of its segment"),
    ("/v1/{}", "{}, which is not the name"),
    ("/v1/{a-b}", "not the name of a field"),
    ("/v1/{a.}", "not the name of a field"),
    ("/v1/{a={b}}", "braces"),
    ("/v1/{a=}", "has `` as a segment"),
    ("/v1/{a=x//y}", "has `` as a segment"),
    ("/v1/a*", "has `a*` as a segment"),
    ("/v1/***", "has `***` as a segment"),
    ("/v1/**/a", "a `**` that is not at its end"),
    ("/v1/{a=**}/b", "a `**` that is not at its end"),
    ("/v1/{a}/{a}", "binds a field twice"),
    ("/v1/orders:", "ends with a colon"),
    ("/v1/..", "has `..` as a segment"),
    ("/v1/./a", "has `.` as a segment"),
    ("/v1/%2E", "has `%2E` as a segment"),
    ("/v1/%zz", "has `%zz` as a segment"),
    ("/v1/a%2Fb%00", "has `a%2Fb%00` as a segment"),
    ("/" + "/".join("a" * 65), "more than 64 segments"),
]


class ParseTests(SynchronousTestCase):
    def test_good(self) -> None:
        for text, segments, verb, variables in GOOD:
            with self.subTest(text=text):
                expected = tuple(Variable(tuple(name.split(".")), start, stop) for name, start, stop in variables)
                self.assertEqual(parse(text), Template(segments, verb, expected))

    def test_bad(self) -> None:
        for text, said in BAD:
            with self.subTest(text=text):
                self.assertIn(said, str(self.assertRaises(TemplateError, parse, text)))

    def test_single(self) -> None:
        singles = {text: [each.single for each in parse(text).variables] for text, *_ in GOOD}
        self.assertEqual(singles["/v1/{id=*}"], [True])
        self.assertEqual(singles["/v1/{id=**}"], [False])
        self.assertEqual(singles["/v1/{name=shops/*}/orders/{id}"], [False, True])

    @given(st.text(st.sampled_from("/{}=*:.ab%2"), max_size=20))
    def test_nothing_but_its_own_error(self, text: str) -> None:
        try:
            template = parse("/" + text)
        except TemplateError:
            return
        self.assertNotIn("", template.segments)
        self.assertNotIn("**", template.segments[:-1])
        for variable in template.variables:
            stop = len(template.segments) if variable.stop is None else variable.stop
            self.assertLess(variable.start, stop)
            self.assertLessEqual(stop, len(template.segments))
