"""Fields of objects that nobody has checked."""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.fields import Malformed, flag, listed, mapping, maps, port_number, text, texts


class FieldTests(SynchronousTestCase):
    """Each getter takes what the API defines, reads null as absent and refuses the rest."""

    def test_right(self) -> None:
        data = {"m": {"a": 1}, "l": [{"x": 1}], "t": "word", "b": False, "p": 8080, "s": {"k": "v"}, "n": None}
        self.assertEqual(mapping(data, "m"), {"a": 1})
        self.assertEqual(maps(data, "l"), [{"x": 1}])
        self.assertEqual(text(data, "t"), "word")
        self.assertIs(flag(data, "b"), False)
        self.assertEqual(port_number(data, "p"), 8080)
        self.assertEqual(texts(data, "s"), {"k": "v"})
        for key in ("n", "absent"):
            found = (mapping(data, key), listed(data, key), text(data, key), flag(data, key), port_number(data, key))
            self.assertEqual(found, ({}, [], "", None, None))

    def test_wrong(self) -> None:
        for getter, value in (
            (mapping, []), (mapping, "x"), (listed, {}), (listed, [0] * 5001), (maps, [1]), (text, 5), (text, "x" * 65537),
            (texts, {"a": 1}), (flag, "true"), (flag, 1), (port_number, 0), (port_number, 65536), (port_number, True),
            (port_number, "80"), (port_number, 80.5),
        ):  # fmt: skip
            with self.assertRaises(Malformed, msg=f"{getter.__name__} {value!r}"[:80]) as caught:
                getter({"k": value}, "k")
            self.assertIn("k is", str(caught.exception))
