"""Tests of `podium` without any call: help, version, usage, and the modules that it loads."""

import json
import subprocess
import sys
from importlib import metadata

from podium.cli._parsers import COMMANDS

from tests.client.cli.shell import podium, process
from tests.each import each

SERVE_WITHOUT = """
import sys
sys.modules["apsw"] = None
from podium.cli import main
sys.exit(main(["serve"]))
"""

LOADED_BY_HELP = """
import json, sys
from podium.cli import main
main(["--help"])
sys.stderr.write(json.dumps(sorted(sys.modules)))
"""


def test_help_names_every_command() -> None:
    """`podium --help` lists the commands, the options and the exit codes."""
    done = podium("--help")
    assert (done.code, done.err) == (0, "")
    for expected in [*COMMANDS, "--address", "--timeout", "--json", "exit codes", "examples:"]:
        assert expected in done.out


def test_a_command_that_is_misspelt() -> None:
    """The error about a misspelt command names only similar commands."""
    assert podium("scroe", "x", "y") == (
        2,
        "",
        (
            "podium: there is no command 'scroe'; did you mean 'score' or 'scores'? "
            "See `podium --help`\n"
        ),
    )


def test_each_command_has_help_with_examples() -> None:
    """`podium COMMAND --help` has a description and examples."""
    for command in COMMANDS:
        done = podium(command, "--help")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"usage: podium {command} ")
        assert f"\n  podium {command} " in done.out


def test_help_loads_no_grpc() -> None:
    """`podium --help` loads neither grpc nor protobuf, nor the module of any command."""
    script = [sys.executable, "-c", LOADED_BY_HELP]
    done = subprocess.run(script, check=True, capture_output=True, text=True, timeout=120)
    loaded = json.loads(done.stderr)
    assert "podium.cli" in loaded
    assert [name for name in loaded if name.split(".")[0] in {"grpc", "google"}] == []
    assert [name for name in loaded if name.startswith("podium.cli.commands")] == []


def test_version() -> None:
    """`podium --version` prints the version of the distribution."""
    assert process("--version") == (0, f"podium {metadata.version('podium')}\n", "")


def test_no_command_is_usage() -> None:
    """`podium` without arguments prints its usage on stderr."""
    done = process()
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: podium [OPTIONS] COMMAND")


@each(
    ("line", "expected"),
    [
        (
            "frobnicate",
            "podium: there is no command 'frobnicate'; the commands are experiments, arms, ",
        ),
        ("--frobnicate arms e", "podium: unrecognized arguments: --frobnicate; see"),
        ("--jsn arms e", "podium: unrecognized arguments: --jsn; did you mean --json? See "),
        ("--versoin", "podium: unrecognized arguments: --versoin; did you mean --version? See "),
        ("--json", "podium: give a command; see `podium --help`"),
        ("rank e --metrc x", "arguments: --metrc x; did you mean --metric? See `podium rank --"),
        ("rank e --direction max", "did you mean --maximize?"),
        ("annotate e a --remove_tags=x", "did you mean --untag?"),
        ("eval e a", "podium eval: the following arguments are required: NAME; see `podium eval "),
        (
            "eval e a v --step 1.5",
            "argument --step: a step must be an integer of 64 bits, not '1.5'",
        ),
        (
            "eval e a v --step 9223372036854775808",
            "a step must be an integer of 64 bits, not '92233",
        ),
        ("arms e --status complted", "; did you mean 'completed'?"),
        (
            "arms e --status done",
            "'done' is not one of pending, running, completed, failed, cancelled",
        ),
        ("arms e --lim 3", "podium arms: unrecognized arguments: --lim 3"),
        ("completion", "podium completion: the following arguments are required: SHELL; see"),
        ("arms e --limit 0", "argument --limit: give a positive whole number, not '0'"),
        ("--timeout 0 arms e", "argument --timeout: give a positive number of seconds, not '0'"),
        ("arms e --timeout nan", "give a positive number of seconds, not 'nan'"),
        (
            "--address here arms e",
            "is HOST:PORT or unix:PATH, such as 'here:50051', not 'here'",
        ),
        ("--address x serve", "podium: serve sends no requests, so it has no --address"),
        ("export --format parquet", "podium: Parquet is binary and cannot go to standard output; "),
        ("declare e --metadata x", "give KEY=VALUE or KEY:=JSON, not 'x'"),
        ("declare e --metadata x:={1", "'{1': Expecting property name enclosed in double quotes"),
        ("declare e --metadata x:=1e999", "'1e999': 1e999 is too large for a double"),
        ("declare e --metadata x:=92233720368547758070", "must be an integer of 64 bits"),
        (
            "delete e",
            "podium: without a terminal, no confirmation is possible; give --yes to delete",
        ),
    ],
)
def test_wrong_usage(line: str, expected: str) -> None:
    """An invalid argument is reported on stderr in one line.

    The exit code is 2, and nothing is printed on stdout.
    """
    done = podium(*line.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("podium")
    assert expected in done.err
    assert done.err.count("\n") == 1


def test_an_argument_that_is_not_utf8() -> None:
    """Arguments that are not UTF-8 are rejected."""
    done = podium("arms", "a\udcff")
    assert done == (2, "", "podium: argument 'a\\udcff' is not UTF-8\n")


def test_the_address_of_the_environment() -> None:
    """If PODIUM_ADDRESS is malformed, the error names it. --address takes precedence over it."""
    done = podium("experiments", address="nowhere")
    assert done.err == (
        "podium: PODIUM_ADDRESS is HOST:PORT or unix:PATH, such as 'nowhere:50051', not 'nowhere'\n"
    )
    assert "at localhost:1:" in podium("--address", "localhost:1", "arms", "e", address="x").err


def test_serve_says_what_is_missing() -> None:
    """Without the server's extra, `podium serve` explains how to install it."""
    script = [sys.executable, "-c", SERVE_WITHOUT]
    done = subprocess.run(script, check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "podium: the server is not installed (apsw is missing): pip install 'podium[server]'\n"
    )
