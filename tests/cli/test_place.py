"""Where the control socket is looked for, whatever state the configuration is in."""

import argparse
from pathlib import Path

from edgegw.cli.output import Output
from edgegw.cli.place import config_path, control_socket
from edgegw.cli.verbs import Call, UsageProblem
from tests.cli.case import CliCase, Terminal


class PlaceTests(CliCase):
    def call(self, config: str | None = "shop.yaml", state: str | None = None, **environ: str) -> Call:
        options = argparse.Namespace(config=config, state=state)
        return Call(options, Output(Terminal(), Terminal(), "text", {}), environ)

    def place(self, text: str, **environ: str) -> str:
        Path("shop.yaml").write_text(text)
        return str(control_socket(self.call(**environ)))

    def test_default_is_beside_the_configuration(self) -> None:
        self.assertEqual(self.place("edgegw: 1\n"), f"{self.folder}/edgegw-state/control.sock")

    def test_stated(self) -> None:
        self.assertEqual(self.place("state: /run/x\n"), "/run/x/control.sock")
        self.assertEqual(self.place("state: here\n"), f"{self.folder}/here/control.sock")

    def test_from_the_environment(self) -> None:
        self.assertEqual(self.place("state: ${WHERE}/x\n", WHERE="/run"), "/run/x/control.sock")

    def test_wrong_elsewhere(self) -> None:
        self.assertEqual(self.place("state: /run/x\nlimt: 1\n"), "/run/x/control.sock")

    def test_no_yaml_at_all(self) -> None:
        for line in ("state: /run/x", 'state: "/run/x"', "state: '/run/x'", "state:   /run/x   # here"):
            self.assertEqual(self.place(f"{line}\nlisten: [\n"), "/run/x/control.sock", line)
        self.assertEqual(self.place("listen: [\n"), f"{self.folder}/edgegw-state/control.sock")

    def test_nonsense_is_the_default(self) -> None:
        self.assertEqual(self.place("state: [1]\n"), f"{self.folder}/edgegw-state/control.sock")

    def test_a_folder(self) -> None:
        Path("conf").mkdir()
        Path("conf/a.yaml").write_text("state: s\n")
        self.assertEqual(str(control_socket(self.call("conf"))), f"{self.folder}/conf/s/control.sock")

    def test_option_wins_and_needs_no_configuration(self) -> None:
        self.assertEqual(str(control_socket(self.call(None, "/run/y"))), "/run/y/control.sock")

    def test_nothing_named(self) -> None:
        self.assertRaises(UsageProblem, config_path, self.call(None))
