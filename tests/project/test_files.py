"""Tests of all tracked files: forbidden text, licenses, and links in documents."""

import re
import subprocess
from pathlib import Path

from tests.each import each

_PROJECT = Path(__file__).parents[2]

# Folders of the machines that Podium was written on, and hosts of package registries. Each pattern
# is written so that it does not match itself.
_MACHINE_PATH = re.compile(r"(?<![\w.>})-])/(?:opt|work|root|home|Users)/\w")
_REGISTRY = re.compile(
    r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|index[.]crates[.]io|crates[.]io/api"
    r"|proxy[.]golang|repo1?[.]maven|deb[.]debian[.]org"
)

_CONFLICT = re.compile(r"^(?:<{7}|>{7}) .*", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
_ANCHOR = re.compile(r'<a id="(?P<id>[^"]+)">')
_CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _tracked(pattern: str = "") -> list[Path]:
    command = ["git", "ls-files", "-z", *filter(None, [pattern])]
    listed = subprocess.run(command, cwd=_PROJECT, check=True, capture_output=True, text=True)
    files = [_PROJECT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def _found(pattern: re.Pattern[str]) -> list[str]:
    texts = {file: file.read_text(encoding="utf-8", errors="replace") for file in _tracked()}
    return [
        f"{file.relative_to(_PROJECT)}: {match[0]}"
        for file, text in texts.items()
        for match in pattern.finditer(text)
    ]


def test_no_machine_paths() -> None:
    """No tracked file contains a path of a developer's machine."""
    assert _found(_MACHINE_PATH) == []


@each("client", ["go", "rust", "typescript"])
def test_packages_carry_the_license(client: str) -> None:
    """The folder of each client that is packed as a package has a copy of the license."""
    carried = _PROJECT / "client" / client / "LICENSE"
    assert carried.read_text("utf-8") == (_PROJECT / "LICENSE").read_text("utf-8")


def test_no_registry_addresses() -> None:
    """No tracked file has the address of a package registry, since each machine has its own."""
    assert _found(_REGISTRY) == []


def test_no_merge_conflicts() -> None:
    """No tracked file has the markers of a merge conflict."""
    assert _found(_CONFLICT) == []
    assert _CONFLICT.search("a\n" + "<" * 7 + " HEAD\n")


def test_machine_paths_and_registries_would_be_found() -> None:
    """The patterns for machine paths and registries match an example."""
    slash = "/"
    assert _MACHINE_PATH.search(f'path = "{slash}home{slash}me"')
    assert _REGISTRY.search("https://files.pythonhosted" + ".org/x")


def _anchors(document: Path) -> list[str]:
    """Returns the anchors of a document, which GitHub derives from its headings."""
    text = _CODE_BLOCK.sub("", document.read_text(encoding="utf-8"))
    headings = (match["text"].strip().lower() for match in _HEADING.finditer(text))
    slugs = [re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings]
    return slugs + [match["id"] for match in _ANCHOR.finditer(text)]


def _broken(document: Path) -> list[str]:
    text = _CODE_BLOCK.sub("", document.read_text(encoding="utf-8"))
    targets = [match["target"] for match in _LINK.finditer(text)]
    return [target for target in targets if "://" not in target and not _leads(document, target)]


def _leads(document: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = document.parent / path if path else document
    return file.exists() and (not anchor or anchor in _anchors(file))


def test_links_resolve() -> None:
    """Every link of a document into this repository leads to an existing file and heading."""
    broken = {document.name: _broken(document) for document in _tracked("*.md")}
    assert {name: links for name, links in broken.items() if links} == {}


def test_anchors_of_the_reference_are_unique() -> None:
    """The anchors of docs/api.md are unique."""
    anchors = _anchors(_PROJECT / "docs" / "api.md")
    assert len(anchors) > 60
    assert sorted(anchors) == sorted(set(anchors))
