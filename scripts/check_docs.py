"""Checks what the documents claim: links lead somewhere, example configurations are valid, generated pages are current.

    python scripts/check_docs.py [--fix]

- Every relative link in a Markdown file names a file that exists, and its `#anchor` a heading of that file.
- Every fenced `yaml` block whose first key is `edgegw: 1` passes `edgegw check`, in a folder that holds the certificates and files
  that the documents talk about (`certs/*.pem` with their keys, `www/`).
- docs/reference is what `edgegw docs` generates; `--fix` writes it anew.

Exit status 0 if all is well, 1 with one line for each problem.
"""

import argparse
import contextlib
import io
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edgegw.cli import main as edgegw  # Both found from the root.
from tests.certs import Authority

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"\A(?:\s*#[^\n]*\n)*edgegw: 1\b")
CERTIFICATES = {"shop": "shop.example.com", "api": "api.example.com"}


def documents() -> list[Path]:
    """Every Markdown file that people are meant to read."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them from headings, and those set by hand (`<a id=...>`)."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", FENCE.sub("", text), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def broken_links(page: Path) -> Iterator[str]:
    """One line for each link of the page that leads nowhere."""
    text = page.read_text()
    for target in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists():
            yield f"{page.relative_to(ROOT)}: the link {target} leads to no file"
        elif anchor and found.suffix == ".md" and anchor not in anchors(found.read_text()):
            yield f"{page.relative_to(ROOT)}: {path or 'this page'} has no heading #{anchor}"


def examples(page: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each whole configuration on the page."""
    text = page.read_text()
    for match in FENCE.finditer(text):
        if match[2] == "yaml" and EXAMPLE.match(match[3]):
            yield text.count("\n", 0, match.start()) + 1, match[3]


def prepare(folder: Path) -> None:
    """Put the files there that examples name."""
    (folder / "certs").mkdir()
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("<!doctype html><title>shop</title>\n")
    authority = Authority()
    authority.write(folder / "certs", "ca")
    for name, host in CERTIFICATES.items():
        authority.issue(host, f"*.{host}").write(folder / "certs", name)


def bad_examples(pages: list[Path]) -> Iterator[str]:
    """One paragraph for each example that `edgegw check` refuses, with its own words."""
    with tempfile.TemporaryDirectory() as scratch:
        prepare(Path(scratch))
        for page in pages:
            for line, text in examples(page):
                path = Path(scratch) / "edgegw.yaml"
                path.write_text(text)
                status, said = run("check", str(path), folder=Path(scratch))
                if status != 0:
                    yield f"{page.relative_to(ROOT)}:{line}: the example is refused:\n{said}".rstrip()


def stale_pages(fix: bool) -> Iterator[str]:
    """One paragraph if docs/reference is not what the code generates."""
    status, said = run("docs", *([] if fix else ["--check"]), "docs/reference", folder=ROOT)
    if status != 0:
        yield f"docs/reference is stale (python scripts/check_docs.py --fix):\n{said}".rstrip()


def run(*arguments: str, folder: Path) -> tuple[int, str]:
    """Run the `edgegw` command of this checkout in the folder: exit status, what it printed. In this process, which is 40 times
    as fast as one of its own each time.
    """
    said = io.StringIO()
    with contextlib.chdir(folder):
        return edgegw(arguments, stdout=said, stderr=said, environ={}), said.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fix", action="store_true", help="write the generated pages of docs/reference anew")
    options = parser.parse_args()
    generated = list(stale_pages(options.fix))
    pages = documents()
    problems = [problem for page in pages for problem in broken_links(page)]
    problems += bad_examples(pages)
    problems += generated
    for problem in problems:
        print(problem)
    count = sum(1 for page in pages for _ in examples(page))
    print(f"docs: {len(pages)} pages, {count} examples, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
