"""Collects the provenance of a training process: its code, and where it runs.

The functions raise no error.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from podium._interface.redacting import redacted
from podium._model.annotations import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeGuard

__all__ = ["collected", "known"]

_OFF = frozenset({"off", "0", "false", "no"})
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_GIT_SECONDS = 1.0
"""The most seconds of one call of git. A process makes at most two calls for each folder."""
_MOST_ARGUMENTS, _MOST_CHARACTERS, _MOST_OF_ONE = 200, 8_000, 1_000
"""The most arguments and characters of a recorded command line, and characters per argument."""
_abandoned: list[subprocess.Popen[bytes]] = []
"""Killed git processes. They are kept, because Python warns when it deletes a running process."""
_PACKAGES = {
    "podium": "podium",
    "torch": "torch",
    "jax": "jax",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "transformers": "transformers",
    "accelerate": "accelerate",
    "datasets": "datasets",
    "peft": "peft",
    "trl": "trl",
    "vllm": "vllm",
    "lightning": "lightning",
    "sklearn": "scikit-learn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "numpy": "numpy",
}
"""The packages whose versions are recorded, by module, if the program has imported the module."""


def collected() -> Provenance | None:
    """Returns the provenance of this process, or None if PODIUM_PROVENANCE is `off`."""
    if _is_off():
        return None
    with suppress(Exception):  # no error may stop the training
        commit, is_clean = _git_state(_program_folder())
        return Provenance(
            commit,
            is_clean,
            _shown(sys.orig_argv),
            os.uname().nodename or None,
            sys.version.split()[0],
            _versions(),
        )
    return None


def known(
    commit: object = None,
    command: Iterable[object] = (),
    host: object = None,
    python: object = None,
    packages: Mapping[str, object] | None = None,
) -> Provenance | None:
    """Returns a provenance, made from values in the file of another tool.

    Values of wrong types are left out. Returns None if no value is left, or if PODIUM_PROVENANCE is
    `off`.
    """
    versions = {_valid(key): _valid(text) for key, text in (packages or {}).items() if _is(text)}
    arguments = [str(each) for each in command if _is(each)]
    texts = [_valid(text) if _is(text) else None for text in (commit, host, python)]
    if _is_off() or not (versions or arguments or any(texts)):
        return None
    found_commit, found_host, found_python = texts
    shown = _shown(arguments)
    return Provenance(found_commit, None, shown, found_host, found_python, versions)


def _is(text: object) -> TypeGuard[str]:
    return isinstance(text, str) and bool(text)


def _is_off() -> bool:
    return os.environ.get("PODIUM_PROVENANCE", "").strip().lower() in _OFF


def _program_folder() -> str:
    """Returns the folder of the main script, or the working folder for an installed command."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is not None:
        path = Path(script).resolve()
        if not path.is_relative_to(Path(sys.prefix).resolve()):
            return str(path.parent)
    return str(Path.cwd())


@cache
def _git_state(folder: str) -> tuple[str | None, bool | None]:
    """Returns the commit of a folder's git work tree, and whether it has no uncommitted changes.

    Both values are None if the folder is not in a work tree, or if git fails.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit or not _COMMIT.fullmatch(commit):  # such as the message of a script named git
        return None, None
    changes = _git(folder, "status", "--porcelain", "-uno", "--ignore-submodules=dirty")
    return commit, None if changes is None else not changes


def _git(folder: str, *arguments: str) -> str | None:
    """Returns the output of git, or None if it failed or took too long."""
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", folder]
    own = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    try:
        process = subprocess.Popen(  # noqa: S603 - arguments of our own
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=own,
        )
    except OSError:
        return None
    try:
        output, _ = process.communicate(timeout=_GIT_SECONDS)
    except subprocess.TimeoutExpired:
        # Do not wait for the process: while it waits for a disk, a kill does not end it.
        process.kill()
        _abandoned.append(process)
        return None
    return output.decode(errors="replace").strip() if process.returncode == 0 else None


def _shown(command: Sequence[str]) -> list[str]:
    """Returns a command line without secrets, shortened to the limits."""
    first = command[:_MOST_ARGUMENTS]
    arguments = [_valid(argument) for argument in redacted(map(_valid, first))]
    ends = accumulate(len(argument) + 1 for argument in arguments)
    shown = [each for each, end in zip(arguments, ends, strict=True) if end <= _MOST_CHARACTERS]
    more = len(command) - len(shown)
    return [*shown, f"[{more:,} more arguments]"] if more else shown


def _valid(text: str) -> str:
    """Returns a string without NUL and surrogates, shortened to 1,000 characters."""
    plain = text.encode(errors="backslashreplace").decode().replace("\0", "")
    return plain if len(plain) <= _MOST_OF_ONE else f"{plain[: _MOST_OF_ONE - 1]}…"


def _versions() -> dict[str, str]:
    found = {}
    for module, package in _PACKAGES.items():
        number = getattr(sys.modules.get(module), "__version__", None)
        if isinstance(number, str):
            found[package] = _valid(str(number))
    return found
