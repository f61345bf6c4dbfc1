"""The generated pages: what is on them, and how they are written and checked."""

from pathlib import Path

from edgegw.cli.pages import cli_markdown
from edgegw.cli.table import VERBS
from tests.cli.case import CliCase


class PagesTests(CliCase):
    def test_every_verb_and_option_is_on_the_page(self) -> None:
        page = cli_markdown(VERBS)
        for verb in VERBS.values():
            self.assertIn(f"\n## edgegw {verb.name}\n", page)
            for argument in verb.arguments:
                self.assertIn(argument.shown.replace("|", "\\|"), page)

    def test_written_once_and_checked(self) -> None:
        self.assertEqual(self.run_edgegw("docs --check pages").status, 1)
        self.assertEqual(self.run_edgegw("docs pages").status, 0)
        names = sorted(path.name for path in Path("pages").iterdir())
        self.assertEqual(names, ["cli.md", "configuration.md", "errors.md", "metrics.md"])
        self.assertEqual(self.run_edgegw("docs --check pages"), (0, "", ""))

    def test_a_stale_page_is_named_with_its_line(self) -> None:
        self.run_edgegw("docs pages")
        lines = Path("pages/errors.md").read_text().splitlines()
        lines[4] = "something else"
        Path("pages/errors.md").write_text("\n".join(lines) + "\n")
        Path("pages/cli.md").unlink()
        done = self.run_edgegw("docs --check pages")
        self.assertEqual(done, (1, "", "pages/cli.md: is missing\npages/errors.md: is stale from line 5 on\n"))
        self.assertEqual(self.run_edgegw("docs pages").out, "pages/cli.md: written\npages/errors.md: written\n")
