"""The tables of the documents agree with the code."""

import argparse
import dataclasses
import inspect
import re
from pathlib import Path

import podium
from podium._limits.limits import Limits
from podium.cli._parsers import COMMANDS
from podium_server.serve.command import add_arguments

from tests.conformance.languages import LANGUAGES

_DOCS = Path(__file__).parents[2] / "docs"


def _rows(document: str, pattern: str) -> list[tuple[str, ...]]:
    """Returns the cells of those rows of a document's tables that match a pattern."""
    text = (_DOCS / document).read_text(encoding="utf-8")
    return re.findall(rf"^\| {pattern} \|", text, re.MULTILINE)


def test_limits() -> None:
    """docs/server.md lists every limit with its default."""
    listed = _rows("server.md", r"`(\w+)` \| ([\d,]+)")
    assert {name: int(number.replace(",", "")) for name, number in listed} == dataclasses.asdict(
        Limits()
    )


def test_options() -> None:
    """docs/server.md names every option of `podium serve`."""
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    text = (_DOCS / "server.md").read_text(encoding="utf-8")
    options = [action.option_strings[0] for action in parser._actions]
    assert [option for option in options if f"`{option}" not in text] == []


def test_commands() -> None:
    """docs/cli.md lists exactly the commands that exist."""
    listed = _rows("cli.md", r"`podium (\w+)(?: [^|]*)?` \|[^|]*")
    assert set(listed) == COMMANDS.keys()


def test_errors() -> None:
    """docs/python.md lists every error class, with the builtin class that it also extends."""
    listed = _rows("python.md", r"`(\w+Error)` \|(?: `(\w+)`)?")
    classes = {found.__name__: found for found in podium.PodiumError.__subclasses__()}
    assert {name for name, _ in listed} == classes.keys()
    for name, builtin in listed:
        bases = [base.__name__ for base in classes[name].__bases__]
        assert bases == ["PodiumError", *filter(None, [builtin])]


def test_events() -> None:
    """docs/semantics.md lists every kind of event. The methods that it names for them exist."""
    listed = _rows("semantics.md", r"(\w+) \|(?: `(\w+)\.(\w+)\(\)`[^|]*?)?")
    kinds = {name.title().replace("_", "") for name in podium.events.__all__}
    handles = {"experiment": podium.ExperimentHandle, "arm": podium.ArmHandle}
    methods = {kind: (handle, method) for kind, handle, method in listed if kind in kinds}
    assert methods.keys() == kinds
    assert methods.pop("Skipped") == ("", "")
    for handle, method in methods.values():
        assert inspect.isfunction(getattr(handles[handle], method))


_CLIENTS = Path(__file__).parents[2] / "client"
_SOURCES = {
    "Python": ("python/podium/_client/blocking/*.py", r"    def {}\("),
    "Go": ("go/*.go", r"^func \(\w+ \*(?:Client|Experiment|Arm|ArmRun)\) {}\("),
    "TypeScript": ("typescript/src/*.ts", r"^  (?:async )?{}(?:<T>)?\("),
    "Java": ("java/src/main/java/podium/*.java", r"^  public .* {}\("),
    "Rust": ("rust/src/**/*.rs", r"^    pub (?:async )?fn {}(?:<.+>)?\("),
    "C++": ("cpp/include/podium/*.h", r"^  .*\b{}\("),
}
"""The files of each client, and how a method is defined there."""


def test_names_of_the_clients() -> None:
    """Each client has the methods that docs/clients.md names for it."""
    cells = r" \| ".join([r"([^|\n]*)"] * len(_SOURCES))
    assert _rows("clients.md", rf"Of \| Call \| {cells}") == [tuple(_SOURCES)]
    rows = _rows("clients.md", rf"(?:client|experiment|arm|attempt) \| [\w ]+ \| {cells}")
    assert len(rows) == 27
    for at, (files, pattern) in enumerate(_SOURCES.values()):
        texts = [path.read_text(encoding="utf-8") for path in _CLIENTS.glob(files)]
        for row in rows:
            name = row[at].strip("` ")
            defined = re.compile(pattern.format(name), re.MULTILINE)
            assert not name or any(map(defined.search, texts)), (files, name)


def test_names_of_attempts() -> None:
    """docs/clients.md names a method for each call about attempts, in every language."""
    cells = r" \| ".join([r"([^|\n]*)"] * len(_SOURCES))
    calls = "start an attempt|run a function or block as an attempt|log metrics|log an eval|finish"
    rows = _rows("clients.md", rf"\w+ \| (?:{calls}) \| {cells}")
    assert len(rows) == 5
    for at, language in enumerate(LANGUAGES):
        assert all(row[at].strip() for row in rows), language.name
