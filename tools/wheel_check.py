"""Builds Podium, installs the wheel without extras, and uses the installed client with a server.

Usage: `python tools/wheel_check.py`, in the development environment; `make wheel-check` runs it.
The server runs in this environment, and the client in a new environment that has only the wheel
and its dependencies. If a check fails, exits with 1 and an error text.
"""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from podium_server.testing import running_server

_PROJECT = Path(__file__).parents[1]
_LOCK = _PROJECT / "requirements" / "client.txt"
_PACKAGES = (_PROJECT / "client" / "python" / "podium", _PROJECT / "server" / "podium_server")

# The packages that `pip install podium` installs: podium, its dependencies, and theirs.
_CLIENT = {"podium", "grpcio", "protobuf", "googleapis-common-protos", "typing-extensions"}
_VENV = {"pip", "setuptools"}
_LIST = "from importlib.metadata import distributions as d; print(*(x.name for x in d()))"
_SCRATCH = {"__pycache__", ".mypy_cache", ".ruff_cache"}
_HINT = "pip install 'podium[server]'"


def _run(*command: str | Path, expect: int = 0) -> str:
    """Runs a command. Returns its standard output and standard error.

    Raises:
        SystemExit: The exit code is not the expected one.
    """
    ended = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=_PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    if ended.returncode != expect:
        line = " ".join(map(str, command))
        sys.exit(f"wheel-check: {line} exited with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def _build(folder: Path) -> Path:
    """Builds the sdist, and from it the wheel, with the locked build backend. Returns the wheel."""
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ".")
    (wheel,) = folder.glob("*.whl")
    return wheel


def _check_contents(wheel: Path) -> None:
    """Checks that the wheel has exactly the files of the two packages in this repository."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    here = {
        file.relative_to(package.parent).as_posix()
        for package in _PACKAGES
        for file in package.rglob("*")
        if file.is_file() and not _SCRATCH.intersection(file.parts)
    }
    if packed != here:
        sys.exit(f"wheel-check: the wheel and the sources differ in {sorted(packed ^ here)}")


def _install(wheel: Path, folder: Path) -> Path:
    """Installs the wheel as a user does, but only from locked packages. Returns the bin folder."""
    _run(sys.executable, "-m", "venv", folder / "venv")
    pip = (folder / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    packages = folder / "packages"
    _run(*pip, "download", "--require-hashes", "--requirement", _LOCK, "--dest", packages)
    _run(*pip, "install", "--no-index", "--find-links", packages, wheel)
    installed = set(_run(pip[0], "-I", "-c", _LIST).replace("_", "-").split()) - _VENV
    if installed != _CLIENT:
        sys.exit(f"wheel-check: the new environment has {sorted(installed)}, not {sorted(_CLIENT)}")
    return folder / "venv" / "bin"


def _check_missing_extra(client: Path) -> None:
    """Checks that the error of `podium serve` names the missing extra."""
    output = _run(client / "podium", "serve", expect=2)
    if _HINT not in output or "Traceback" in output:
        sys.exit(f"wheel-check: podium serve without the extra does not print {_HINT!r}:\n{output}")


def _check_library(client: Path, address: str) -> None:
    """Checks that the library can declare, record and read."""
    _run(client / "python", "-I", _PROJECT / "tools" / "wheel_client.py", address)


def _check_command_line(client: Path, address: str, file: Path) -> None:
    """Checks that the command line reads the library's results, and records them again."""
    podium = (client / "podium", "--address", address)
    file.write_text(_run(*podium, "show", "wheel/check", "live", "--json"), encoding="utf-8")
    _run(*podium, "declare", "wheel/copy", "--success-metric", "test.pass_rate")
    _run(*podium, "record", "wheel/copy", file)
    row = json.loads(_run(*podium, "eval", "wheel/copy", "live", "val", "--step", "0", "--json"))
    score = _run(*podium, "score", "wheel/copy", "live", "test.pass_rate")
    if (row["metrics"], score) != ({"pass_rate": 0.5}, "0.75\n"):
        sys.exit(f"wheel-check: the command line answered {row} and {score!r}")
    _run(*podium, "score", "wheel/copy", "live", "no.such", expect=1)
    _run(*podium, "score", "wheel/copy", "live", expect=2)
    _run(*podium, "score", "wheel/copy", "nobody", "loss", expect=1)


def _main() -> None:
    with TemporaryDirectory(prefix="podium-wheel-") as name:
        folder = Path(name)
        wheel = _build(folder / "dist")
        _check_contents(wheel)
        client = _install(wheel, folder)
        _check_missing_extra(client)
        with running_server() as server:
            _check_library(client, server.address)
            _check_command_line(client, server.address, folder / "arm.json")
    print(f"wheel-check: {wheel.name} builds, installs without extras and works against a server")


if __name__ == "__main__":
    _main()
