"""The examples of the documents work as shown."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from podium._recorder import process_outbox
from podium_server.testing import RunningServer, running_server

from tests.docs.blocks import Block, blocks_of, run_pytest, run_python, run_session, run_shell
from tests.sparse import sparse

_PROJECT = Path(__file__).parents[2]
_DOCUMENTS = [_PROJECT / "README.md", *sorted((_PROJECT / "docs").glob("*.md"))]
_CONTAINERS = ("dockerfile", "yaml", "sh entrypoint", "sh slurm", "python handler")
_OTHER_TOOLS = ("python mlflow", "python tensorboard", "python wandb")
_LANGUAGES = ("go", "ts", "java", "rust", "cpp")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """Yields a server for one document. Its store is in the folder where the commands run."""
    with running_server(f"sqlite:///{tmp_path / 'podium.db'}") as server:
        yield server


@pytest.mark.parametrize("document", sparse(_DOCUMENTS), ids=lambda path: path.name)
def test_code_blocks_run(
    document: Path, server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every Python and shell block of a document runs in order, with the results that it shows."""
    monkeypatch.setenv("PODIUM_ADDRESS", server.address)
    monkeypatch.setenv("PODIUM_OUTBOX", str(tmp_path / "state"))
    monkeypatch.setattr(process_outbox, "_FIRST_PROGRESS_SECONDS", 120.0)  # on a busy machine
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(document):
        _run(block, document, namespace, tmp_path, server.address)


def _run(
    block: Block, document: Path, namespace: dict[str, Any], folder: Path, address: str
) -> None:
    environment = {"PODIUM_ADDRESS": address}
    match block.info:
        case "python":
            run_python(block, document, namespace)
        case "python pytest":
            run_pytest(block, folder, environment)
        case "sh":
            run_shell(block, folder, environment)
        case "console run":
            run_session(block, folder, environment)
        case info:
            # Other blocks are tested in test_clients.py, test_containers.py, test_examples.py and
            # tests/client/integrations/test_moving_over.py.
            others = {
                "python example",
                "console",
                "text",
                "json",
                "proto",
                "toml",
                *_LANGUAGES,
                *_OTHER_TOOLS,
                *_CONTAINERS,
            }
            assert info in others, f"nobody runs a block of {info!r}"


def test_broken_promises_are_found(tmp_path: Path) -> None:
    """A block fails if a result is not the promised one, or if the promised error is not raised."""
    for text in (
        "1 + 1  # → 3\n",
        "1 + 1  # raises ValueError\n",
        "int('x')  # raises TypeError\n",
    ):
        with pytest.raises(AssertionError):
            run_python(Block("python", text, 1), tmp_path, {})
    with pytest.raises(AssertionError, match="at the end of no expression"):
        run_python(Block("python", "a = 1  # → 1\n", 1), tmp_path, {})
    with pytest.raises(AssertionError):
        run_shell(Block("sh", "echo 1  # → 2\n", 1), tmp_path, {})
    with pytest.raises(AssertionError):
        run_session(Block("console run", "$ echo 1\n2\n", 1), tmp_path, {})
    run_python(Block("python", "1 + 1  # → 2\nint('x')  # raises ValueError\n", 1), tmp_path, {})
    run_shell(Block("sh", "echo 1  # → 1\n", 1), tmp_path, {})
    run_session(Block("console run", "$ echo 1\n1\n$ echo 2\n2\n", 1), tmp_path, {})
