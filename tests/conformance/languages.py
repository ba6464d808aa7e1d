"""The languages that are tested with the vectors, and the commands to build, test and run them."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LANGUAGES", "PROJECT", "PROTOCOLS", "Command", "Language"]

PROJECT = Path(__file__).parents[2]

Command = tuple[str, ...]

_CONNECT = ("connect-json", "connect")
PROTOCOLS = (*_CONNECT, "grpc-web")
"""The protocols of the HTTP port: Connect with two encodings, and gRPC-Web."""


@dataclass(frozen=True)
class Language:
    """A language. Its commands run in its folder."""

    name: str
    folder: str
    """The folder, relative to the root of the repository."""
    runner: Command
    """Starts the runner, which reads one request per line."""
    http_runner: Command
    """Starts the runner for HTTP, which uses the protocol that each request names."""
    protocols: tuple[str, ...] = PROTOCOLS
    """The protocols that `http_runner` can use."""
    has_live: bool = False
    """Whether the client can follow an experiment in memory."""
    toolchain: tuple[Command, ...] = ()
    """The tools that the build needs: commands that succeed if they are installed."""
    build: tuple[Command, ...] = ()
    """Builds the client and the runners."""
    test_build: tuple[Command, ...] = ()
    """Builds the tests, if `build` does not."""
    lint: tuple[Command, ...] = ()
    """Checks the code beyond the checks of the build."""
    tests: Command = ()
    """Runs the client's own tests.

    PODIUM_ADDRESS names a server. The variables of `secure_server` are set, too.
    """
    example: Command = ()
    """Runs the example in the README. PODIUM_ADDRESS names a server."""

    @property
    def path(self) -> Path:
        """The absolute path of the folder."""
        return PROJECT / self.folder

    def missing(self) -> list[str]:
        """Returns the commands of the toolchain that fail or do not exist."""
        return [" ".join(command) for command in self.toolchain if not _succeeds(command)]


def _succeeds(command: Command) -> bool:
    if shutil.which(command[0]) is None:
        return False
    ended = subprocess.run(command, check=False, capture_output=True)
    return ended.returncode == 0


_PYTHON = Language(
    name="python",
    has_live=True,
    folder=".",
    runner=(sys.executable, "-m", "tests.conformance.python_runner"),
    http_runner=(sys.executable, "-m", "tests.conformance.http_runner"),
    example=(sys.executable, "examples/quickstart.py"),
)

_GO = Language(
    name="go",
    has_live=True,
    folder="client/go",
    toolchain=(("go", "version"),),
    build=(
        ("go", "build", "-o", "build/conformance", "./internal/conformance"),
        # A separate module, so that the client does not depend on the library connect-go.
        ("go", "build", "-C", "internal/connect", "-o", "../../build/connect", "."),
    ),
    lint=(
        ("go", "vet", "./..."),
        ("sh", "-c", 'unformatted=$(gofmt -l .) && test -z "$unformatted"'),
    ),
    test_build=(("go", "test", "-run", "^$", "./..."),),
    tests=("go", "test", "./..."),
    example=("sh", "-c", "go run ./examples/quickstart && go run ./examples/training"),
    runner=("build/conformance",),
    http_runner=("build/connect",),
)

_TYPESCRIPT = Language(
    name="typescript",
    has_live=True,
    folder="client/typescript",
    toolchain=(("node", "--version"), ("npm", "--version")),
    build=(("npm", "ci", "--no-audit", "--no-fund"), ("npm", "run", "build")),
    lint=(("npm", "run", "docs", "--", "--emit", "none"),),
    tests=("npm", "test"),
    example=("npm", "run", "example"),
    runner=("node", "build/conformance/main.js"),
    http_runner=("node", "build/conformance/main.js"),
)

_JAVA = Language(
    name="java",
    folder="client/java",
    toolchain=(("javac", "--version"), ("mvn", "--version")),
    build=(("mvn", "--batch-mode", "--quiet", "-DskipTests", "package"),),
    tests=("mvn", "--batch-mode", "--quiet", "surefire:test"),
    example=("sh", "example.sh"),
    runner=("sh", "conformance.sh"),
    http_runner=("sh", "conformance.sh"),
    protocols=_CONNECT,
)

_RUST = Language(
    name="rust",
    folder="client/rust",
    toolchain=(("cargo", "clippy", "--version"), ("cargo", "fmt", "--version")),
    build=(
        ("cargo", "build", "--locked", "-p", "podium-client", "--examples"),
        ("cargo", "build", "--locked", "-p", "podium-conformance"),
    ),
    lint=(
        ("cargo", "fmt", "--all", "--check"),
        ("cargo", "clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"),
        ("env", "RUSTDOCFLAGS=-D warnings", "cargo", "doc", "--locked", "--no-deps"),
    ),
    test_build=(("cargo", "test", "--locked", "--no-run"),),
    tests=("cargo", "test", "--locked"),
    example=("cargo", "run", "--locked", "--quiet", "--example", "quickstart"),
    runner=("target/debug/podium-conformance",),
    http_runner=("target/debug/podium-conformance",),
    protocols=_CONNECT,
)

_CPP = Language(
    name="cpp",
    folder="client/cpp",
    toolchain=(
        ("g++", "--version"),
        ("cmake", "--version"),
        ("pkg-config", "--exists", "grpc++", "cpp-httplib"),
        ("protoc", "--version"),
        ("sh", "-c", "command -v grpc_cpp_plugin"),
    ),
    build=(
        # Optimisation would double the time of the build.
        ("cmake", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=None"),
        ("cmake", "--build", "build", "--parallel", "2"),
    ),
    lint=(("sh", "-c", "! command -v doxygen || doxygen"),),
    tests=("ctest", "--test-dir", "build", "--output-on-failure"),
    example=("build/quickstart",),
    runner=("build/conformance",),
    http_runner=("build/conformance",),
    protocols=_CONNECT,
)

LANGUAGES = (_PYTHON, _GO, _TYPESCRIPT, _JAVA, _RUST, _CPP)
"""Every language."""
