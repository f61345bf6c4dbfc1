"""Golden transcripts: files, commands, and exactly what a person reads.

A transcript (tests/golden/cli/*.txt) is a list of files (`--- NAME`, then its text) and commands (`$ edgegw ...`, then what was
printed, standard error behind `!`, and the exit status if it is not 0). `# with a gateway` in the first line starts one that serves
`shop.yaml`. `EDGEGW_GOLDEN_UPDATE=1` writes the outputs anew: look at the difference before you keep it.
"""

import os
from pathlib import Path

from tests.cli.case import CliCase, Done

FOLDER = Path(__file__).resolve().parent.parent / "golden" / "cli"
GATEWAY = "# with a gateway"


class GoldenTests(CliCase):
    maxDiff = None

    async def replay(self, name: str) -> None:
        path = FOLDER / f"{name}.txt"
        expected = path.read_text()
        found: list[str] = []
        writing: Path | None = None
        for line in expected.splitlines():
            if line == GATEWAY:
                self.start_gateway()
                found.append(line)
            elif line.startswith("--- "):
                writing = self.folder / line.removeprefix("--- ")
                writing.parent.mkdir(exist_ok=True)
                writing.write_text("")
                found.append(line)
            elif line.startswith("$ edgegw "):
                writing = None
                found += [line, *self.printed(await self.ask_edgegw(line.removeprefix("$ edgegw ")))]
            elif writing is not None:
                with writing.open("a") as stream:
                    stream.write(f"{line}\n")
                found.append(line)
            elif line.startswith("#"):
                found.append(line)
        text = "\n".join(found) + "\n"
        if os.environ.get("EDGEGW_GOLDEN_UPDATE") == "1":
            path.write_text(text)
        self.assertEqual(text, expected)

    def printed(self, done: Done) -> list[str]:
        lines = [f"  {line}".rstrip() for line in self.told(done.out).splitlines()]
        lines += [f"! {line}".rstrip() for line in self.told(done.err).splitlines()]
        return [*lines, *([f"[exit {done.status}]"] if done.status else []), ""]

    async def test_check(self) -> None:
        await self.replay("check")

    async def test_show(self) -> None:
        await self.replay("show")

    async def test_explain(self) -> None:
        await self.replay("explain")

    async def test_routes(self) -> None:
        await self.replay("routes")

    async def test_usage(self) -> None:
        await self.replay("usage")

    async def test_begin(self) -> None:
        await self.replay("begin")

    async def test_running(self) -> None:
        await self.replay("running")

    async def test_past(self) -> None:
        await self.replay("past")

    async def test_nobody_runs(self) -> None:
        await self.replay("nobody_runs")

    async def test_every_verb_is_in_a_transcript(self) -> None:
        from edgegw.cli.table import VERBS

        text = "".join(path.read_text() for path in FOLDER.glob("*.txt"))
        self.assertEqual([name for name in VERBS if f"$ edgegw {name}" not in text], [])
