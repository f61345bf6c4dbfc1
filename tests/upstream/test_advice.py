"""Tests of edgegw.upstream.advice."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.advice import LONGEST, NAMES, Advice, Counsel, heeded, is_advice, read_advice, spoken
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.settings import UpstreamSettings

EVERYTHING = {
    "balance": "consistent_hash",
    "balance-key": "header:X-User",
    "balance-table": "ring",
    "balance-factor": "150%",
    "balance-slow-start": "30s",
    "health-protocol": "http",
    "health-path": "/healthz?full=1",
    "health-expect": "200-204, 404",
    "health-service": "acme.Orders",
    "health-every": "2s",
    "health-timeout": "500ms",
    "health-fall": "4",
    "health-rise": "1",
}

REFUSED = (
    ("balance", "magic", "must be round_robin"),
    ("balance", "shop.balancers:Spare", "must be round_robin"),
    ("balance-key", "header:X\r\nY", "cannot be the name"),
    ("balance-table", "rings", "must be maglev or ring"),
    ("balance-factor", "50%", "above 100%"),
    ("balance-slow-start", "1h", "900 or less"),
    ("health-protocol", "custom", "must be http, tcp or grpc"),
    ("health-path", "http://169.254.169.254/", "must match"),
    ("health-path", "/a\r\nHost: b", "must match"),
    ("health-path", "/a b", "must match"),
    ("health-path", "/" + "a" * LONGEST, "more than 256"),
    ("health-expect", "2xx", "health-expect"),
    ("health-service", "a b", "must match"),
    ("health-every", "soon", "must be a duration"),
    ("health-every", "500ms", "1 or more"),
    ("health-every", "2h", "3600 or less"),
    ("health-timeout", "0s", "0.1 or more"),
    ("health-timeout", "2m", "60 or less"),
    ("health-fall", "0", "1 or more"),
    ("health-rise", "1.5", "whole number"),
    ("health-pth", "/x", 'did you mean "health-path"?'),
    ("health-custom", "shop.probes:Disk", "not known"),
    ("health-headers", "{}", "not known"),
    ("health-host", "other", "not known"),
    ("balance-custom", "x", "not known"),
)


def advice(**said: str) -> Advice:
    made, wrong = read_advice({name.replace("_", "-"): text for name, text in said.items()})
    assert made is not None, wrong
    assert not wrong, wrong
    return made


def upstream(**said: Any) -> UpstreamSettings:
    return UpstreamSettings.model_validate(said)


class ReadTests(SynchronousTestCase):
    """From a source's words."""

    def test_everything(self) -> None:
        self.assertEqual(set(EVERYTHING), set(NAMES))
        made, wrong = read_advice(EVERYTHING)
        assert made is not None
        self.assertEqual(wrong, ())
        self.assertEqual((made.balance_factor, made.health_every, made.health_fall), (1.5, 2.0, 4))

    def test_back_from_json(self) -> None:
        made, _ = read_advice(EVERYTHING)
        assert made is not None
        self.assertEqual(read_advice(json.loads(json.dumps(made.plain()))), (made, ()))

    def test_refused(self) -> None:
        """With the reason; the rest is taken."""
        for name, text, words in REFUSED:
            made, wrong = read_advice({name: text, "health-rise" if name != "health-rise" else "health-fall": "2"})
            self.assertEqual(len(wrong), 1, (name, text))
            self.assertIn(words, wrong[0])
            assert made is not None
            self.assertEqual(len(made.plain()), 1, (name, text))

    def test_nothing(self) -> None:
        self.assertEqual(read_advice({}), (None, ()))
        self.assertEqual(read_advice({"weight": "5", "healthy": "x", "team": "a"}), (None, ()))
        self.assertEqual(
            [is_advice(name) for name in ("balance", "health-x", "healthy", "weight")], [True] * 2 + [False] * 2
        )

    def test_thousands(self) -> None:
        """Whoever may annotate a Service must not stop the gateway with that; what is right counts among them."""
        said = {f"balance-{number}": "" for number in range(20_000)}
        made, wrong = read_advice({**said, "balance": "random"})
        self.assertEqual((made, len(wrong)), (Advice(balance_by="random"), 32))

    @settings(max_examples=100, deadline=None)
    @given(st.dictionaries(st.sampled_from([*NAMES, "health-x", "weight"]), st.text(max_size=300)))
    def test_whatever_comes(self, said: dict[str, str]) -> None:
        """Nothing is raised, and what is taken can be kept on disk."""
        made, wrong = read_advice(said)
        self.assertTrue(all(isinstance(each, str) for each in wrong))
        if made is not None:
            self.assertEqual(read_advice(made.plain()), (made, ()))
            heeded(upstream(), made)


class HeededTests(SynchronousTestCase):
    """What the configuration says goes first, key by key."""

    def balance(self, said: Any, **words: str) -> tuple[dict[str, Any], set[str]]:
        found = heeded(upstream(**({"balance": said} if said is not None else {})), advice(**words))
        return found.balance.model_dump(include={"by", "key", "table", "factor", "slow_start"}), set(found.ignored)

    def health(self, said: Any, **words: str) -> tuple[HealthSettings | None, set[str]]:
        found = heeded(upstream(**({"health": said} if said is not False else {})), advice(**words))
        self.assertEqual(set(found.acts) | set(found.ignored), {name.replace("_", "-") for name in words})
        return found.health, set(found.ignored)

    def test_nobody_advises(self) -> None:
        settings = upstream(balance="random", health="/x")
        self.assertEqual(heeded(settings, None)[:2], (settings.balance, settings.health))

    def test_balance(self) -> None:
        got, ignored = self.balance(None, balance="least_connections", balance_slow_start="9s")
        self.assertEqual((got["by"], got["slow_start"], ignored), ("least_connections", 9.0, set()))
        got, ignored = self.balance({"slow_start": "5s"}, balance="random", balance_slow_start="9s")
        self.assertEqual((got["by"], got["slow_start"], ignored), ("random", 5.0, {"balance-slow-start"}))
        got, ignored = self.balance("weighted_round_robin", balance="random")
        self.assertEqual((got["by"], ignored), ("weighted_round_robin", {"balance"}))

    def test_hashing(self) -> None:
        got, ignored = self.balance(None, balance="consistent_hash", balance_key="path", balance_table="ring")
        self.assertEqual((got["by"], got["key"], got["table"], ignored), ("consistent_hash", "path", "ring", set()))
        got, ignored = self.balance(
            {"by": "consistent_hash", "key": "path"}, balance_key="client_ip", balance_factor="150%"
        )
        self.assertEqual((got["key"], got["factor"], ignored), ("path", 1.5, {"balance-key"}))
        for said, words in (("random", {}), (None, {"balance": "random"}), (None, {})):
            got, ignored = self.balance(said, balance_key="path", **words)
            self.assertEqual((got["key"], ignored), ("client_ip", {"balance-key"}))

    def test_custom_code_chooses_alone(self) -> None:
        got, ignored = self.balance({"custom": "a.b:c"}, balance="random", balance_key="path", balance_slow_start="1s")
        self.assertEqual(
            (got["by"], got["slow_start"], ignored), ("weighted_round_robin", 1.0, {"balance", "balance-key"})
        )

    def test_probes_begin(self) -> None:
        for words, wanted in (
            ({"health_path": "/up"}, HealthSettings(path="/up")),
            ({"health_protocol": "http"}, HealthSettings()),
            ({"health_every": "2s", "health_rise": "1"}, HealthSettings(every="2s", rise=1)),
            ({"health_expect": "204"}, HealthSettings.model_validate({"expect": 204})),
            ({"health_protocol": "tcp", "health_fall": "2"}, HealthSettings.model_validate({"tcp": {}, "fall": 2})),
            ({"health_protocol": "grpc"}, HealthSettings.model_validate({"grpc": ""})),
            ({"health_protocol": "grpc", "health_service": "a.B"}, HealthSettings.model_validate({"grpc": "a.B"})),
        ):
            self.assertEqual(self.health(False, **words), (wanted, set()), words)

    def test_with_what_the_configuration_says(self) -> None:
        got, ignored = self.health(
            {"path": "/mine", "every": "9s"}, health_path="/x", health_every="2s", health_fall="7"
        )
        self.assertEqual(
            (got, ignored), (HealthSettings(path="/mine", every="9s", fall=7), {"health-path", "health-every"})
        )
        for said in ("/mine", {"headers": {"A": "b"}}, {"grpc": "x"}, {"custom": "a.b:c"}):
            got, ignored = self.health(said, health_protocol="tcp", health_rise="1")
            assert got is not None
            self.assertEqual((got.tcp, got.rise, ignored), (None, 1, {"health-protocol"}), said)
        got, ignored = self.health({"grpc": {}}, health_service="a.B", health_path="/x")
        assert got is not None and got.grpc is not None
        self.assertEqual((got.grpc.service, got.path, ignored), ("a.B", "/", {"health-path"}))
        self.assertEqual(self.health({"grpc": "x"}, health_service="a.B")[1], {"health-service"})

    def test_what_does_not_go_together(self) -> None:
        got, ignored = self.health(False, health_protocol="tcp", health_path="/x", health_service="a")
        self.assertEqual(
            (got, ignored), (HealthSettings.model_validate({"tcp": {}}), {"health-path", "health-service"})
        )
        self.assertEqual(self.health(False, health_service="a"), (None, {"health-service"}))

    def test_switched_off(self) -> None:
        """By `health: null`."""
        self.assertEqual(self.health(None, health_path="/x", health_rise="1"), (None, {"health-path", "health-rise"}))

    def test_spoken(self) -> None:
        """What is written out is another thing than what is left out, though it is the default."""
        self.assertEqual(spoken(upstream()), spoken(upstream(retry={})))
        for said in ({"balance": "weighted_round_robin"}, {"health": None}):
            self.assertEqual(upstream(**said), upstream())
            self.assertNotEqual(spoken(upstream(**said)), spoken(upstream()))
        self.assertNotEqual(spoken(upstream(health={"path": "/", "rise": 2})), spoken(upstream(health={"path": "/"})))


class CounselTests(SynchronousTestCase):
    """Several sources, one after the other."""

    def test_the_first_holds(self) -> None:
        counsel = Counsel(upstream())
        self.assertIsNone(counsel.describe())
        self.assertTrue(counsel.hear("k8s a", advice(balance="random")))
        self.assertFalse(counsel.hear("k8s a", advice(balance="random")))
        self.assertFalse(counsel.hear("k8s b", advice(balance="peak_ewma")))
        self.assertEqual((counsel.source, counsel.now.balance.by), ("k8s a", "random"))
        self.assertTrue(counsel.hear("k8s a", None))
        self.assertEqual((counsel.source, counsel.now.balance.by), ("k8s b", "peak_ewma"))
        self.assertTrue(counsel.hear("k8s b", None))
        self.assertEqual((counsel.source, counsel.now.balance, counsel.now.acts), ("", BalanceSettings(), ()))

    def test_what_does_not_act(self) -> None:
        """Nothing else holds, but operators see it."""
        counsel = Counsel(upstream(balance="random"))
        self.assertFalse(counsel.hear("k8s a", advice(balance="peak_ewma")))
        self.assertEqual(
            counsel.describe(),
            {"source": "k8s a", "acts": {}, "ignored": {"balance": "the configuration says it"}},
        )
        self.assertEqual(counsel.words, "no advice acts any more")

    def test_over_a_reload(self) -> None:
        old, new = Counsel(upstream()), Counsel(upstream(balance={"by": "random"}))
        old.hear("k8s a", advice(balance="peak_ewma", health_path="/up"))
        new.take_over(old)
        self.assertEqual((new.now.balance.by, new.words), ("random", "health-path /up"))
        self.assertIn("k8s a: health-path", repr(new))
