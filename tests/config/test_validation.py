"""From a document to settings: one clear message for each place, all of them in one run."""

import time
import unittest
from typing import Literal

from edgegw.config.model import Settings
from edgegw.config.problems import ConfigError, Problem, Problems
from edgegw.config.source import Document, loads
from edgegw.config.validation import examine, validate
from tests.config.sample import Config, check_names

ROUTES = "upstreams: {users: {endpoints: ['http://a:1']}}\nroutes:\n"


class Cat(Settings):
    kind: Literal["cat"]
    lives: int = 9


class Dog(Settings):
    kind: Literal["dog"]
    bark: int = 1


def problems(text: str, environ: dict[str, str] | None = None) -> list[Problem]:
    document = loads(text, "x", environ=environ or {}, defer=True)
    try:
        validate(Config, document, checks=[check_names])
    except ConfigError as error:
        return list(error.problems)
    return []


def messages(text: str, environ: dict[str, str] | None = None) -> list[str]:
    return [problem.message for problem in problems(text, environ)]


class ValidateTests(unittest.TestCase):
    def test_settings_come_out(self) -> None:
        made = validate(Config, loads(ROUTES + "  - {match: /x, to: users, timeout: 5s}\n"), checks=[check_names])
        self.assertEqual(made.routes[0].timeout.head, 5.0)
        self.assertEqual(made.routes[0].match.path, "/x")

    def test_unknown_key_checks_and_variables_come_in_one_run(self) -> None:
        found = problems(
            ROUTES
            + "  - {match: /a, limt: 1/s, to: users}\n  - {match: /b, to: nope}\n  - {match: /c, to: '${NOPE}'}\n"
        )
        self.assertEqual(
            [problem.message for problem in found],
            [
                'unknown key "limt" in route "/a"',
                'upstream "nope" is not defined; defined: users',
                "the environment variable NOPE is not set",
            ],
        )
        self.assertEqual([problem.line for problem in found], [3, 4, 5])

    def test_what_follows_from_a_reported_problem_is_left_out(self) -> None:
        # The upstream is there, only its value is wrong: a check must not say that it is not defined.
        self.assertEqual(len(messages("upstreams: {users: 5}\nroutes: [{match: /x, to: users}]\n")), 1)
        self.assertEqual(len(messages(ROUTES + "  - {match: /a, to: '${NOPE}', limit: '${NOPE}'}\n")), 2)

    def test_what_is_left_is_looked_at(self) -> None:
        """Without the smallest pieces that are wrong, however many keys that must be there stand around them."""
        table = {
            # A key that may be left out; one that may not, in a route; the key of a name; an item.
            "upstreams: {u: {endpoints: ['http://a:1'], pool: {max: x}}}\n": 1,
            "routes: [{match: nopath}, {match: /b, to: nope}]\n": 2,
            "upstreams: {u: {endpoints: [5]}}\nroutes: [{match: /a, to: u}, {match: /b, to: nope}]\n": 2,
            "routes: [{match: /a, to: [{upstream: a}]}, {match: /b, to: nope}]\n": 2,
            "listen: [{}]\nroutes: [{match: /b, to: nope}]\n": 2,
            # A slip in the key of a whole section: what is in there may be what others refer to.
            "upstream: {nope: {}}\nroutes: [{match: /b, to: nope}]\n": 1,
            # Nothing is wrong with the rest, but this is not what was meant.
            "routes: [{match: /a, to: '${NOPE}'}, {match: /b, to: nope}]\n": 2,
            "elsewhere: {nope: {}}\nroutes: [{match: /b, to: nope}]\n": 2,
        }
        for text, count in table.items():
            with self.subTest(text=text):
                found = problems(text)
                self.assertEqual(len(found), count, found)
                self.assertTrue(all(each.position for each in found))

    def test_items_that_move_up_keep_their_numbers(self) -> None:
        found = problems("routes: [{match: nopath}, {match: /a, limt: 5}, {match: /b, to: nope}]\n")
        self.assertEqual([each.loc[:2] for each in found], [("routes", 0), ("routes", 1), ("routes", 2)])

    def test_standins(self) -> None:
        class Needy(Settings):
            version: Literal[1]
            names: tuple[str, ...]
            other: str = ""

        def check(settings: Needy, problems: Problems, document: Document) -> None:
            problems.add(("other",), f"{settings.version} {settings.names}")
            problems.add(("names", 0), "not what anybody wrote")

        for text in ("version: 2\nnames: [a]\nother: x\n", "names: [a]\nother: x\n"):
            found = examine(Needy, loads(text), checks=[check], standins={"version": 1})
            self.assertTrue(found.is_wrong)
            self.assertIn("1 ('a',)", [each.message for each in found.problems])
            self.assertRaises(ConfigError, found.refuse)
        with self.assertRaises(ConfigError) as caught:
            examine(Needy, loads("version: 2\nother: x\n"), checks=[check], standins={"version": 1})
        self.assertEqual(len(caught.exception.problems), 2)
        for names in ("5", "[5]"):
            found = examine(Needy, loads(f"version: 1\nnames: {names}\n"), checks=[check], standins={"names": ["z"]})
            self.assertEqual(len(found.problems), 2, found.problems)

    def test_warnings_of_an_accepted_configuration(self) -> None:
        found = examine(Config, loads(ROUTES + "  - {name: odd, match: /a}\n"), checks=[check_names])
        self.assertEqual([problem.message for problem in found.problems], ["an odd name"])
        self.assertFalse(found.is_wrong)
        self.assertRegex(repr(found), "^<Examined <Document configuration [0-9a-f]+>, 1 problems>$")

    def test_the_document_is_not_changed(self) -> None:
        document = loads(ROUTES + "  - {match: /a, limt: 1}\n")
        before = repr(document.data)
        with self.assertRaises(ConfigError):
            validate(Config, document, checks=[check_names])
        self.assertEqual(repr(document.data), before)

    def test_unions_give_one_message(self) -> None:
        table = {
            "workers: many\n": '"workers" must be a whole number or "auto", not "many"',
            "routes: [{match: /, to: 5}]\n": '"to" in route "/" must be text or a list, not the number 5',
            "routes: [{match: /, to: [{upstream: a}]}]\n": 'missing key "weight" in item 1 of "to" of route "/"',
            "routes: [{match: /, to: [{upstream: a, wght: 1, weight: 1}]}]\n": 'unknown key "wght" in item 1 of "to" of route "/"',
            "routes: [{match: /, body_limit: x}]\n": (
                '"body_limit" in route "/" must be a size such as 512B, 64KiB, 10MiB or 1GiB, not "x"; or "none"'
            ),
        }
        for text, message in table.items():
            with self.subTest(text=text):
                self.assertEqual(messages(text), [message])

    def test_a_union_of_maps_is_told_by_what_is_nearest(self) -> None:
        class Http(Settings):
            path: str
            expect: int = 200

        class Tcp(Settings):
            port: int

        class Root(Settings):
            health: Http | Tcp | Literal["off"]
            tagged: Cat | Dog | None = None

        table = {
            "health: {path: /x, expct: 1}\n": ['unknown key "expct" in "health"'],
            "health: {port: x}\n": ['"port" in "health" must be a whole number, not "x"'],
            "health: on\n": ['"health" must be a map or "off", not "on"'],
            "health: off\ntagged: {kind: cat, lives: x}\n": ['"lives" in "tagged" must be a whole number, not "x"'],
            "health: off\ntagged: {kind: dog, bark: 1, lives: 1}\n": ['unknown key "lives" in "tagged"'],
            "health: off\ntagged: {kind: cow}\n": ['"kind" in "tagged" must be "cat" or "dog", not "cow"'],
        }
        for text, expected in table.items():
            with self.subTest(text=text), self.assertRaises(ConfigError) as caught:
                validate(Root, loads(text))
            self.assertEqual([problem.message for problem in caught.exception.problems], expected)

    def test_items_that_are_wrong_do_not_make_a_list_too_short(self) -> None:
        self.assertEqual(
            messages("upstreams: {u: {endpoints: [{weight: 5}]}}\n"),
            ['missing key "url" in item 1 of "endpoints" of upstream "u"'],
        )
        self.assertEqual(
            messages("upstreams: {u: {endpoints: []}}\n"), ['"endpoints" in upstream "u" must have 1 item or more']
        )

    def test_what_checks_say_hides_secrets_too(self) -> None:
        found = messages(ROUTES + "  - {match: /a, to: '${S}'}\n", {"S": "hunter2-is-long"})
        self.assertEqual(found, ["upstream ******** is not defined; defined: users"])

    def test_a_short_form_points_at_what_was_written(self) -> None:
        (found,) = problems("routes:\n  - match: nopath\n")
        self.assertEqual(
            (str(found.position), found.message), ("x:2:12", '"path" of "match" in route "nopath" must match ^/')
        )

    def test_names(self) -> None:
        table = {
            "listen: [{port: 0}]\n": '"port" in listener 0 must be 1 or more, not 0',
            "listen: [{}]\n": "listener #1: needs exactly one of port and unix",
            "upstreams: {u: {endpoints: [http://a, x]}}\n": (
                'item 2 of "endpoints" in upstream "u" must be a URL such as "http://10.0.0.1:9000", not "x"'
            ),
            "routes: [{match: {path: /x, methods: [GET, PUT], host: h}, limit: 5}]\n": (
                '"limit" in route "GET|PUT h/x": write 5/s, not 5: a rate says per what (s, m, h, d)'
            ),
            "observe: {log: {level: x}}\n": '"level" in "observe.log" must be debug, info or warn, not "x"',
            "nope: 1\n": 'unknown key "nope"',
            "routes:\n": '"routes" must be a list, not empty',
            "upstreams: {}\nroutes: [1]\n": "route #1 must be a map, not the number 1",
        }
        for text, message in table.items():
            with self.subTest(text=text):
                self.assertEqual(messages(text), [message])

    def test_hints_and_where_to_read_more(self) -> None:
        table = {
            "upstreams: {u: {endpoints: [http://a], pool: {mx: 1}}}\n": ('did you mean "max"?', "upstreams.pool.max"),
            "routes: [{match: /, host: x}]\n": ('it belongs in "match"', "routes"),
            "observe: {zzz: 1}\n": ("known here: log", "observe"),
            "routes: [{match: /, handler: prxy}]\n": ('did you mean "proxy"?', "routes.handler"),
            "admin: {listen: 5}\n": ('put it in quotes: "5"', "admin.listen"),
            "listen: [{port: 1, trusted_proxies: 10.0.0.0/8}]\n": (
                "put it in brackets: [10.0.0.0/8]",
                "listen.trusted_proxies",
            ),
        }
        for text, (hint, explain) in table.items():
            with self.subTest(text=text):
                (found,) = problems(text)
                self.assertEqual((found.hint, found.explain), (hint, explain))

    def test_no_message_shows_a_secret(self) -> None:
        secret = "hunter2-is-long"
        text = (
            "workers: ${S}\nlisten: [{port: '${S}', redirect: '${S}'}]\nroutes:\n"
            "  - {match: '${S}', limit: '${S}', timeout: 'x${S}', to: '${S}', handler: '${S}', body_limit: '${S}'}\n"
        )
        found = problems(text, {"S": secret})
        self.assertGreaterEqual(len(found), 7)
        for problem in found:
            self.assertNotIn(secret, problem.message + (problem.hint or ""))
        for short in ("5", "abc"):
            for problem in problems(text, {"S": short}):
                self.assertNotIn(f'"{short}"', problem.message + (problem.hint or ""))

    def test_a_variable_may_be_a_number_or_a_boolean(self) -> None:
        document = loads(
            "workers: ${N}\nupstreams: {u: {endpoints: ['http://a'], verify: '${B}', pool: {max: '${N}'}}}\n",
            environ={"N": "4", "B": "false"},
        )
        made = validate(Config, document)
        self.assertEqual((made.workers, made.upstreams["u"].verify, made.upstreams["u"].pool.max), (4, False, 4))

    def test_thousands_of_problems_of_both_kinds_are_fast(self) -> None:
        text = "upstreams:\n" + "".join(f"  u{n}: {{endpoints: ['${{NO{n}}}'], zz: 1}}\n" for n in range(6000))
        started = time.process_time()
        self.assertEqual(len(problems(text)), 12_000)
        self.assertLess(time.process_time() - started, 5.0)

    def test_two_thousand_routes_are_fast(self) -> None:
        route = (
            "  - {{match: 'GET api{0}.example.com/users/{{id}}/**', to: users, timeout: {{head: 15s}}, limit: 100/s}}\n"
        )
        text = ROUTES + "".join(route.format(number) for number in range(2000))
        started = time.process_time()
        made = validate(Config, loads(text), checks=[check_names])
        self.assertLess(time.process_time() - started, 1.0)
        self.assertEqual(len(made.routes), 2000)
        broken = loads(text.replace("limit:", "limt:"))
        started = time.process_time()
        with self.assertRaises(ConfigError) as caught:
            validate(Config, broken, checks=[check_names])
        self.assertLess(time.process_time() - started, 2.0)
        self.assertEqual(len(caught.exception.problems), 2000)
