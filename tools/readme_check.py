"""Runs the first example of each README as a user would: in an empty folder, after installing.

Usage: `python tools/readme_check.py [LANGUAGE …]`, in the development environment; `make
readme-check` runs it. CI does not, since the check downloads and compiles all dependencies. In CI,
the tests of each client check that its README has the examples that they run.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from podium_server.testing import running_server

_PROJECT = Path(__file__).parents[1]
_SCRATCH = _PROJECT / ".cache" / "readme"


@dataclass(frozen=True)
class _Example:
    readme: str
    fence: str
    """The language that marks the README's code block."""
    file: str
    """The file that the example is written to."""
    script: str
    """Installs the client from $PODIUM and runs the file, as the README describes it."""


_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>a</groupId><artifactId>a</artifactId><version>1</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source>
    <maven.compiler.target>17</maven.compiler.target>
  </properties>
  <dependencies>DEPENDENCY</dependencies>
</project>"""
_CMAKE = """cmake_minimum_required(VERSION 3.22)
project(example CXX)
find_package(podium REQUIRED)
add_executable(example main.cpp)
target_link_libraries(example PRIVATE podium::podium)"""

_EXAMPLES = {
    "python": _Example(
        "README.md",
        "python",
        "main.py",
        "python3 -m venv venv && venv/bin/pip install -q $PODIUM && venv/bin/python main.py",
    ),
    "go": _Example(
        "client/go/README.md",
        "go",
        "main.go",
        """go mod init example
        go mod edit -replace podium.example/podium=$PODIUM/client/go
        go mod tidy
        go run .""",
    ),
    "typescript": _Example(
        "client/typescript/README.md",
        "ts",
        "main.ts",
        """(cd $PODIUM/client/typescript && npm ci && npm run build)
        npm init -y && npm pkg set type=module
        npm install $PODIUM/client/typescript typescript@5 @types/node@20
        npx tsc --strict --target es2022 --module nodenext \\
            --lib es2022,esnext.disposable,dom main.ts
        node main.js""",
    ),
    "java": _Example(
        "client/java/README.md",
        "java",
        "src/main/java/Quickstart.java",
        f"""(cd $PODIUM/client/java && mvn -B -q -DskipTests install)
        dependency=$(sed -n '/^<dependency>/,/^<.dependency>/p' $PODIUM/client/java/README.md)
        python3 -c 'import sys; print(sys.argv[1].replace("DEPENDENCY", sys.argv[2]))' \\
            '{_POM}' "$dependency" > pom.xml
        mvn -B -q package dependency:copy-dependencies
        java -cp 'target/classes:target/dependency/*' Quickstart""",
    ),
    "rust": _Example(
        "client/rust/README.md",
        "rust",
        "src/main.rs",
        """printf '[package]\\nname = "example"\\nedition = "2024"\\n\\n' > Cargo.toml
        sed -n '/^\\[dependencies\\]/,/^```/{/```/d;p}' $PODIUM/client/rust/README.md >> Cargo.toml
        ln -s $PODIUM podium
        cargo run --quiet""",
    ),
    "cpp": _Example(
        "client/cpp/README.md",
        "cpp",
        "main.cpp",
        f"""cmake -S $PODIUM/client/cpp -B podium -DPODIUM_DEVELOPMENT=OFF
        cmake --build podium --parallel 2
        cmake --install podium --prefix $PWD/installed
        echo '{_CMAKE}' > CMakeLists.txt
        cmake -S . -B build -DCMAKE_PREFIX_PATH=$PWD/installed && cmake --build build
        build/example""",
    ),
}


def _run(name: str, example: _Example, address: str) -> bool:
    """Runs an example. Returns whether it succeeded."""
    folder, began = _SCRATCH / name, time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    file = folder / example.file
    file.parent.mkdir(parents=True)
    readme = (_PROJECT / example.readme).read_text(encoding="utf-8")
    block = re.search(rf"^```{example.fence}\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    file.write_text(block.group(1) if block else "", encoding="utf-8")
    given = {"PODIUM": str(_PROJECT), "PODIUM_ADDRESS": address}
    environment = os.environ | given | {"PODIUM_OUTBOX": str(folder / "outbox")}
    command = ("sh", "-exc", example.script)
    code = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    print(f"{name}: exit code {code}, {time.monotonic() - began:.0f} s", flush=True)
    return code == 0


def main(names: list[str]) -> int:
    """Runs the examples of the named languages, or of all. Returns the exit code."""
    with running_server() as server:
        done = [_run(name, _EXAMPLES[name], server.address) for name in names or _EXAMPLES]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
