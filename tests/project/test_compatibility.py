"""Tests that buf finds changes of the protos that would break a released client."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sparse import sparse

_PROJECT = Path(__file__).parents[2]
_BUF = Path(sys.executable).with_name("buf")
_RELEASED = _PROJECT / "proto" / "released" / "podium.v1.binpb"

_BREAKS = {
    "a field leaves": ("eval_result.proto", "  optional double eval_seconds = 5;\n", ""),
    "a field gets another type": ("eval_result.proto", "double eval_seconds", "float eval_seconds"),
    "a call leaves": ("results_service.proto", "rpc Score(", "rpc ScoreOf("),
    "a value gets another name": ("arm_result.proto", "ARM_STATUS_FAILED", "ARM_STATUS_BROKEN"),
}
_ADDITION = (
    "eval_result.proto",
    "message EvalResult {\n",
    "message EvalResult {\n  // More.\n  string more = 99;\n",
)

needs_buf = pytest.mark.skipif(
    not _BUF.exists(), reason="buf is only in the environment of `make test`"
)


def _breaking(folder: Path, change: tuple[str, str, str]) -> subprocess.CompletedProcess[str]:
    """Runs `buf breaking` on the protos with this change, against the released protos."""
    file, before, after = change
    shutil.copytree(_PROJECT / "proto", folder / "proto", ignore=shutil.ignore_patterns("released"))
    path = folder / "proto" / "podium" / "v1" / file
    text = path.read_text()
    assert before in text, f"{file} has no {before!r} any more: choose another change"
    path.write_text(text.replace(before, after))
    return subprocess.run(
        [_BUF, "breaking", folder / "proto", "--against", _RELEASED],
        capture_output=True,
        text=True,
        check=False,
    )


@needs_buf
@pytest.mark.parametrize("change", sparse([(each,) for each in _BREAKS.values()]), ids=_BREAKS)
def test_a_breaking_change_is_found(tmp_path: Path, change: tuple[str, str, str]) -> None:
    """If a change would break a released client, the check fails and names the file."""
    done = _breaking(tmp_path, change)
    assert done.returncode == 100, done.stderr
    assert change[0] in done.stdout


@needs_buf
def test_an_addition_is_not_a_breaking_change(tmp_path: Path) -> None:
    """A new field is not a breaking change."""
    assert _breaking(tmp_path, _ADDITION).returncode == 0
