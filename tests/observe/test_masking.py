"""Secrets and forging characters stay out of logs."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.observe.masking import Masker, text, visible

QUERIES = [
    ("page=2&sort=asc", "page=2&sort=asc"),
    ("", ""),
    ("token", "token"),
    ("token=", "token=***"),
    ("token=abc", "token=***"),
    ("a=1&access_token=abc&b=2", "a=1&access_token=***&b=2"),
    ("API_KEY=x&api-key=y&apikey=z", "API_KEY=***&api-key=***&apikey=***"),
    ("password=a=b=c", "password=***"),
    ("code=4%2F0&state=x", "code=***&state=x"),
    ("X-Amz-Signature=f00&X-Amz-Credential=AKIA&X-Amz-Date=1", "X-Amz-Signature=***&X-Amz-Credential=***&X-Amz-Date=1"),
    ("X-Amz-Security-Token=t", "X-Amz-Security-Token=***"),
    ("%74oken=abc", "%74oken=***"),
    ("%2574oken=abc", "%2574oken=***"),
    ("a=1;token=abc;b=2", "a=1;token=***;b=2"),
    ("user[password]=abc&token[]=x", "user[password]=***&token[]=***"),
    ("id_token=a&refresh_token=b&client_secret=c", "id_token=***&refresh_token=***&client_secret=***"),
    ("tokens=3&encoded=1&passenger=2&keyword=x&zipcode=1", "tokens=3&encoded=1&passenger=2&keyword=x&zipcode=1"),
    ("SAMLResponse=PHN", "SAMLResponse=***"),
    ("&&=&a=", "&&=&a="),
]

URLS = [
    ("https://shop.example.com/list?page=2", "https://shop.example.com/list?page=2"),
    ("https://shop.example.com/cb?code=abc&state=1", "https://shop.example.com/cb?code=***&state=1"),
    ("https://a.example/#access_token=abc&x=1", "https://a.example/#access_token=***&x=1"),
    ("https://user:pw@a.example/x", "https://***@a.example/x"),
    ("https://a.example/x@y?token=1", "https://a.example/x@y?token=***"),
    ("not a url", "not a url"),
]


class MaskerTests(SynchronousTestCase):
    def test_queries(self) -> None:
        masker = Masker()
        for query, masked in QUERIES * 2:
            self.assertEqual(masker.query(query), masked)

    def test_urls(self) -> None:
        masker = Masker()
        for url, masked in URLS:
            self.assertEqual(masker.url(url), masked)

    def test_what_it_remembers_is_bounded(self) -> None:
        masker = Masker()
        for number in range(10_000):
            masker.query(f"n{number}=1")
        masker.query("x" * 1000 + "=1")
        self.assertLessEqual(len(masker._verdicts), 4096)

    @given(
        st.text(st.characters(codec="ascii")), st.text("&;=", max_size=1), st.sampled_from(["token", "password", "sig"])
    )
    def test_a_secret_never_gets_out_whatever_stands_before_it(self, before: str, separator: str, name: str) -> None:
        shown = Masker().query(f"{before}&{name}=S3CR3T{separator}")
        self.assertNotIn("S3CR3T", shown)


class TextTests(SynchronousTestCase):
    def test_bytes_become_text_that_stays_on_its_line(self) -> None:
        for raw, shown in (
            (b"plain", "plain"),
            ("grün".encode(), "grün"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("a\u2028b".encode(), "a\\u2028b"),
            ("a\u0085b".encode(), "a\\x85b"),
            ("a\u202eb".encode(), "a\\u202eb"),
            ("\U000e0001é".encode(), "\\U000e0001é"),
        ):
            self.assertEqual(text(raw), shown)

    def test_visible_escapes_what_drives_terminals(self) -> None:
        self.assertEqual(visible("a\n\x1b[31mb\x7f"), "a\\x0a\\x1b[31mb\\x7f")

    @given(st.text())
    def test_visible_is_one_line_of_valid_text(self, value: str) -> None:
        shown = visible(value)
        self.assertTrue(shown.isprintable())
        shown.encode("utf-8")
