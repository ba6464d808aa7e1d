"""The five lines of each language in docs/clients.md are lines of an example, which is run."""

import re
from pathlib import Path

from tests.docs.blocks import blocks_of
from tests.each import each

_PROJECT = Path(__file__).parents[2]
_ADDRESS = '"localhost:50051"'

# For each language: its example, how this connects, and how the document's lines connect.
_EXAMPLES = {
    "go": ("client/go/examples/quickstart/main.go", 'Connect("")', f"Connect({_ADDRESS})"),
    "ts": ("client/typescript/examples/quickstart.ts", "Client()", f"Client({_ADDRESS})"),
    "java": ("client/java/examples/Quickstart.java", "connect()", f"connect({_ADDRESS})"),
    "rust": (
        "client/rust/examples/quickstart.rs",
        "Client::from_env()",
        f"Client::connect({_ADDRESS})",
    ),
    "cpp": (
        "client/cpp/examples/quickstart.cpp",
        "podium::Client client;",
        f"podium::Client client({_ADDRESS});",
    ),
}


def _lines(text: str) -> list[str]:
    """Returns the lines of a program without comments, indentation and empty lines.

    In a call `arm(EXPERIMENT, "lora_rank4")`, the experiment becomes `rank_sweep`, as in the
    document.
    """
    text = re.sub(r"//.*", "", text)
    text = re.sub(r'(arm|Arm)\("\w+", "lora_rank4"\)', r'\1("rank_sweep", "lora_rank4")', text)
    return [line.strip() for line in text.splitlines() if line.strip()]


@each("language", _EXAMPLES)
def test_the_five_lines_are_the_examples(language: str) -> None:
    """Each of the five lines of a language is part of its example.

    `make conformance` builds and runs the examples.
    """
    example, before, after = _EXAMPLES[language]
    text = (_PROJECT / example).read_text(encoding="utf-8").replace(before, after)
    (block,) = [
        block for block in blocks_of(_PROJECT / "docs/clients.md") if block.info == language
    ]
    lines = _lines(block.text)
    assert len(lines) == 5
    assert [line for line in lines if not _is_in(line, _lines(text))] == []


def _is_in(line: str, example: list[str]) -> bool:
    # In an example, a `try` or an `if` may stand before what the line of the document does.
    return any(other.endswith(line) or line.rstrip(";") in other for other in example)
