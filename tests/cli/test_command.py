"""main: exit statuses, broken pipes, and what a person's mistakes lead to."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

from edgegw.cli import main
from tests.cli.case import CliCase

ROOT = Path(__file__).resolve().parent.parent.parent
GOOD = "edgegw: 1\nlisten: [8080]\n"
BAD = "edgegw: 1\nlisten: [8080]\nrutes: []\n"
COMMAND = [sys.executable, "-m", "edgegw.cli"]


class MainTests(CliCase):
    def test_no_words_is_the_help(self) -> None:
        out = io.StringIO()
        self.assertEqual(main([], stdout=out, stderr=out, environ={}), 0)
        self.assertIn("edgegw init", out.getvalue())

    def test_version(self) -> None:
        self.assertEqual(self.run_edgegw("--version").out, "edgegw 0.1.0\n")
        found = json.loads(self.run_edgegw("version --json").out)
        self.assertEqual((found["edgegw"], "twisted" in found), ("0.1.0", True))

    def test_exit_status(self) -> None:
        Path("good.yaml").write_text(GOOD)
        Path("bad.yaml").write_text(BAD)
        for line, status in (
            ("check good.yaml", 0),
            ("check bad.yaml", 1),
            ("check nowhere.yaml", 1),
            ("show bad.yaml", 1),
            ("routes bad.yaml", 1),
            ("chekc", 2),
            ("check --format xml good.yaml", 2),
            ("check", 2),
            ("match / -c good.yaml", 1),
            ("explain nonsense", 1),
            ("status -c good.yaml", 1),
        ):
            with self.subTest(line=line):
                self.assertEqual(self.run_edgegw(line).status, status)

    def test_no_mistake_makes_a_traceback(self) -> None:
        Path("bad.yaml").write_text(BAD)
        Path("binary.yaml").write_bytes(b"\xff\xfe\x00")
        Path("folder").mkdir()
        for line in (
            "check binary.yaml",
            "check folder",
            "show /dev/null",
            "routes /proc/self/mem",
            "init folder/x/y.yaml",
        ):
            with self.subTest(line=line):
                done = self.run_edgegw(line)
                self.assertEqual(done.status, 1)
                self.assertNotIn("Traceback", done.out + done.err)
                self.assertTrue(done.out + done.err)

    def test_json_is_json_whatever_happens(self) -> None:
        Path("bad.yaml").write_text(BAD)
        Path("good.yaml").write_text(GOOD)
        for line in ("check bad.yaml", "show bad.yaml", "routes good.yaml", "show good.yaml", "match / -c good.yaml",
                     "check nowhere.yaml", "status -c good.yaml", "history -c good.yaml", "check a b", "explain x", "version",
                     "explain listen", "explain middleware", "init", "schema"):  # fmt: skip
            with self.subTest(line=line):
                done = self.run_edgegw(f"{line} --json")
                json.loads(done.out)
                self.assertEqual(done.err, "")

    def test_format_json_is_the_long_form_of_json(self) -> None:
        Path("bad.yaml").write_text(BAD)
        found = {self.run_edgegw(f"check bad.yaml {form}").out for form in ("--json", "--format json", "--format=json")}
        self.assertEqual(len(found), 1)

    def test_default_configuration(self) -> None:
        Path("other.yaml").write_text(GOOD)
        self.assertEqual(self.run_edgegw("check", {"EDGEGW_CONFIG": "other.yaml"}).out[:10], "other.yaml")
        Path("edgegw.yaml").write_text(GOOD)
        self.assertEqual(self.run_edgegw("check", {"EDGEGW_CONFIG": "other.yaml"}).out[:11], "edgegw.yaml")
        self.assertEqual(self.run_edgegw("check other.yaml").out[:10], "other.yaml")

    def test_secrets_are_not_shown(self) -> None:
        Path("edgegw.yaml").write_text(
            'edgegw: 1\nlisten: [8080]\nroutes:\n  - {match: /, respond: {status: 200, body: "${SECRET}"}}\n'
        )
        for line in ("show", "show --json", "routes --json", "match / --json"):
            done = self.run_edgegw(line, {"SECRET": "hunter2-hunter2"})
            self.assertEqual((done.status, done.out.count("hunter2")), (0, 0), line)

    def test_the_file_cannot_move_the_cursor(self) -> None:
        Path("edgegw.yaml").write_text(
            'edgegw: 1\nlisten: [8080]\nroutes:\n  - {match: "/\\x1b[2Jx", respond: {status: 200}}\n'
        )
        for line in ("routes", "check", "match '/\x1b[2Jx'"):
            done = self.run_edgegw(line)
            self.assertNotIn("\x1b", done.out + done.err, line)


class ProcessTests(CliCase):
    """What only a process of its own shows."""

    def started(self, *words: str, code: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", code] if code else [*COMMAND, *words]
        environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    def test_a_reader_that_has_enough_is_no_drama(self) -> None:
        Path("edgegw.yaml").write_text(GOOD)
        environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        with subprocess.Popen(
            [*COMMAND, "schema"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.wait(30), 1)

    def test_no_verb_but_run_installs_a_reactor(self) -> None:
        Path("edgegw.yaml").write_text(GOOD)
        code = (
            "import sys\nfrom edgegw.cli import main\n"
            "for line in ('check', 'show', 'schema', 'explain listen', 'explain middleware', 'routes', 'match /', 'status',"
            " 'reload', 'history', 'diff', 'version', 'upstreams', 'init x.yaml', 'proxy :1 :2 --print', 'docs d'):\n"
            "    main(line.split())\n"
            "    assert 'twisted.internet.reactor' not in sys.modules, line\n"
            "print('clean')\n"
        )
        done = self.started(code=code)
        self.assertEqual(done.stdout.splitlines()[-1:], ["clean"], done.stderr)

    def test_module_can_be_run(self) -> None:
        done = self.started("chekc")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn('did you mean "check"?', done.stderr)
