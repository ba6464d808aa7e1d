"""Finds the code blocks of a document, runs them in order, and checks what they promise.

A promise is `EXPRESSION  # → REPR` or `EXPRESSION  # raises ERROR: REASON` in Python, and
`COMMAND  # → OUTPUT` in sh. In a block `console run`, the output of each `$ COMMAND` must equal the
lines below it.
"""

import ast
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.client.cli.shell import podium

__all__ = ["Block", "blocks_of", "run_pytest", "run_python", "run_session", "run_shell"]

_BLOCK = re.compile(r"^```(?P<info>\S.*)\n(?P<text>(?:.*\n)*?)```$", re.MULTILINE)
_PROMISE = re.compile(r"# (?P<kind>→|raises) (?P<text>.+)$")
_SECONDS = 120


class Block(NamedTuple):
    """A block: the words after its opening "```", its text, and the line where its text begins."""

    info: str
    text: str
    line: int


def blocks_of(document: Path) -> list[Block]:
    """Returns the code blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(match["info"], match["text"], text.count("\n", 0, match.start("text")) + 1)
        for match in _BLOCK.finditer(text)
    ]


# ---- Python ----------------------------------------------------------------------------------


def run_python(block: Block, document: Path, namespace: dict[str, Any]) -> None:
    """Runs a block in the namespace of its document, and checks its expected values."""
    promises = dict(_promises(block.text))
    checked = _Checked(promises)
    tree = checked.visit(ast.parse(block.text))
    assert not promises, f"{document.name}: promises at the end of no expression: {promises}"
    ast.increment_lineno(ast.fix_missing_locations(tree), block.line - 1)
    namespace |= {"_answers": _answers, "_raises": _raises}
    exec(compile(tree, str(document), "exec"), namespace)  # noqa: S102 - the document's own code


def _promises(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        found = _PROMISE.match(token.string) if token.type == tokenize.COMMENT else None
        if found:
            yield token.end[0], found


class _Checked(ast.NodeTransformer):
    """Puts a check around each expression that has an expected value."""

    def __init__(self, promises: dict[int, re.Match[str]]) -> None:
        self._promises = promises

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        promise = self._promises.pop(node.end_lineno or 0, None)
        if promise is None:
            return node
        check = "_answers({}, {!r})" if promise["kind"] == "→" else _TRY
        (checked,) = ast.parse(check.format("_", promise["text"])).body
        _Filled(node.value).visit(checked)
        return ast.copy_location(checked, node)


class _Filled(ast.NodeTransformer):
    """Puts an expression in the place of the name `_`."""

    def __init__(self, expression: ast.expr) -> None:
        self._expression = expression

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._expression if node.id == "_" else node


_TRY = """
try:
    {0}
except Exception as _error:
    _raises(_error, {1!r})
else:
    _raises(None, {1!r})
"""


def _answers(answer: object, promised: str) -> None:
    assert repr(answer) == promised, f"answered {answer!r} instead of {promised}"


def _raises(error: Exception | None, promised: str) -> None:
    assert error is not None, f"nothing was raised instead of {promised}"
    reason = getattr(error, "reason", "")
    assert ": ".join(filter(None, (type(error).__name__, reason))) == promised, str(error)


# ---- Commands --------------------------------------------------------------------------------


def run_shell(block: Block, folder: Path, environment: Mapping[str, str]) -> None:
    """Runs the commands of a block one by one, and checks their expected output."""
    for line in block.text.replace("\\\n", "").splitlines():
        command, promised = _split(line)
        printed = _run_command(command, folder, environment)
        assert promised is None or printed.strip() == promised, f"{command}\n{printed}"


def _split(line: str) -> tuple[str, str | None]:
    found = _PROMISE.search(line)
    return (line[: found.start()], found["text"]) if found else (line, None)


def run_session(block: Block, folder: Path, environment: Mapping[str, str]) -> None:
    """Runs each command after a `$ ` and compares its output with the lines below it."""
    for part in block.text.removeprefix("$ ").split("\n$ "):
        command, _, shown = part.partition("\n")
        printed = _run_command(command, folder, environment)
        assert printed.rstrip() == shown.rstrip(), f"{command}\n{printed}"


def run_pytest(block: Block, folder: Path, environment: Mapping[str, str]) -> None:
    """Runs a block as a pytest file."""
    file = folder / "test_example.py"
    file.write_text(block.text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    _run(command, folder, {**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})


def _run_command(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Runs a command and returns its output.

    A `podium` command that needs no shell runs in this process.
    """
    words = shlex.split(command)
    if words[:1] != ["podium"] or set("|<>&;$`*") & set(command):
        return _run(["bash", "-euo", "pipefail", "-c", command], folder, environment)
    with contextlib.chdir(folder):
        ended = podium(*words[1:], address=environment.get("PODIUM_ADDRESS"))
    assert ended.code == 0, f"{command}\n{ended}"
    return ended.out


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env={**os.environ, **environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout
