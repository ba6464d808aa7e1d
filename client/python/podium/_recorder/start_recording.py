"""`podium.record`: validates its arguments and begins to record."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from podium import events
from podium._limits.checks import check_experiment_name
from podium._limits.event_checks import check_event
from podium._limits.limits import Limits
from podium._model.results import Attempt
from podium._outbox import MAX_BYTES, default_root
from podium._recorder import kept_results, kept_values
from podium._recorder.experiment import ExperimentRecording
from podium._recorder.keeper import Keeper
from podium._recorder.problems import Problems, Target, shown
from podium._recorder.process_rank import Rank, is_main, process_rank
from podium._recorder.settings import Settings
from podium._recorder.signatures import forgiving_with
from podium._recorder.warnings import RecorderWarnings
from podium._values import coerce
from podium._values.address import server_address
from podium._values.arguments import DirectionLike, Strings

__all__ = ["record"]

_LIMITS = Limits()
_CLOSE_TIMEOUT = 60.0
_UNIX = "unix:"
_OTHER_RANK = (
    "this process is rank {0.number} ({0.source}) and records nothing, because only the main "
    "process records. To record from each process, pass the same attempt= in every process. If "
    "this process is a separate training run, pass rank=0"
)


@forgiving_with(lambda _, named: RecorderWarnings(is_strict=bool(named.get("strict"))))
def record(
    name: str,
    *,
    hypothesis: str | None = None,
    success_metric: str | None = None,
    direction: DirectionLike | None = None,
    parent: str | None = None,
    tags: Strings = (),
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    address: str | None = None,
    outbox: str | os.PathLike[str] | None = None,
    attempt: Attempt | None = None,
    rank: int | None = None,
    offline: bool | None = None,
    strict: bool = False,
    provenance: bool = True,
    close_timeout: float | None = None,
    max_bytes: int = MAX_BYTES,
) -> ExperimentRecording:
    """Declares an experiment and begins to record it.

        with podium.record("rank_sweep", success_metric="test.pass_rate") as experiment:
            with experiment.start_arm(run_config) as arm:
                arm.log({"loss": 0.31})

    Unless `strict` is set, no argument of a recording method raises an error. An invalid argument
    is left out, shortened or replaced, and the logger `podium` names it in a warning.

    Args:
        name: The name of the experiment.
        hypothesis: The hypothesis that the experiment tests.
        success_metric: The metric by which arms are compared, such as `test.pass_rate` or `loss`.
        direction: Which scores are better: `maximize` or `minimize`.
        parent: The name of the experiment that this one continues.
        tags: Labels.
        metadata: Any other data: JSON-like values by key.
        overwrite: If True, the given values replace stored values that differ.
        address: The server: `HOST:PORT` or `unix:PATH`, or several `HOST:PORT`, separated by
            commas, of servers with the same results. If not given, it is the environment variable
            PODIUM_ADDRESS, or localhost:50051 if that is not set. The server may start later.
        outbox: The folder of the undelivered events. If not given, it is the environment variable
            PODIUM_OUTBOX, or, if that is not set, `podium/outbox` in $XDG_STATE_HOME, which is
            `~/.local/state` by default.
        attempt: The attempt that the processes of a distributed training run share. If given, all
            of these processes record; otherwise only the main one does.
        rank: The number of this process in a distributed training run. Without `attempt`, only
            process 0 records. If not given, it is the rank in torch.distributed if that is
            initialized. Otherwise it is the first environment variable of RANK,
            OMPI_COMM_WORLD_RANK, PMI_RANK and SLURM_PROCID that is set.
        offline: Whether events stay in the outbox until `podium sync` delivers them. If not given,
            they stay there if the environment variable PODIUM_OFFLINE is 1.
        strict: Whether a value that cannot be recorded raises an error.
        provenance: Whether each attempt records its git commit, command line, host, and versions of
            packages. The environment variable PODIUM_PROVENANCE=off has the same effect as False.
        close_timeout: The most seconds that the end of the block waits for delivery. If not given,
            it is the environment variable PODIUM_CLOSE_TIMEOUT, or 60 if that is not set.
        max_bytes: The most bytes of undelivered events that this process keeps on disk.
    """
    notices = RecorderWarnings(is_strict=bool(strict))
    checks = _Checks(notices)
    known_name = checks.name(name)
    declared = checks.declared(
        {
            "hypothesis": hypothesis,
            "success_metric": success_metric,
            "direction": direction,
            "parent": parent,
            "tags": tags,
            "metadata": metadata,
            "overwrite": overwrite,
        }
    )
    server = checks.address(address)
    root = checks.root(outbox)
    shared = checks.attempt(attempt)
    found = checks.rank(rank)
    is_main_process = is_main(found and found.number)
    if found is not None and not is_main_process and shared is None:
        notices.say("recorders of another rank", _OTHER_RANK.format(found))
    settings = Settings(
        key=os.urandom(16).hex(),
        experiment=known_name,
        declared=declared,
        address=server or kept_values.encodable(str(address or os.environ.get("PODIUM_ADDRESS"))),
        root=root,
        attempt=shared,
        is_silent=not (is_main_process or shared),
        is_main=is_main_process,
        is_offline=server is None or (_is_offline() if offline is None else bool(offline)),
        is_strict=bool(strict),
        has_provenance=bool(provenance),
        close_timeout=checks.close_timeout(close_timeout),
        max_bytes=checks.integer(max_bytes, "max_bytes", MAX_BYTES),
    )
    return ExperimentRecording(settings, notices)


class _Checks:
    """Validates the arguments of `record`. Invalid arguments are reported and replaced."""

    def __init__(self, notices: RecorderWarnings) -> None:
        self._notices = notices
        self._keeper = Keeper(notices, Target())

    def name(self, given: Any) -> str:
        """Returns the name of the experiment, or a new name if the given one is unusable."""
        found = [given]

        def keep(problems: Problems) -> None:
            found_problems = Problems()
            name = kept_values.experiment_name(given, "name", found_problems)
            if name is None:
                # A fixed name could be that of another experiment, which would get these results.
                name = f"unnamed/{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
                problems.taken("name", f"name is {shown(given)}; the experiment is named {name!r}")
            else:
                problems += found_problems
            found.append(name)

        with self._keeper.keeping("record", keep):
            check_experiment_name(coerce.text(given, "name"), "name", _LIMITS)
            found.append(coerce.text(given, "name"))
        return str(found[-1])

    def declared(self, given: dict[str, Any]) -> bytes:
        """Returns the serialized event that declares the experiment, without invalid fields."""
        found = [events.experiment_declared()]

        def keep(problems: Problems) -> None:
            event = events.experiment_declared(**kept_results.declaration(given, problems))
            check_event(event, _LIMITS)
            found.append(event)

        with self._keeper.keeping("record", keep):
            event = events.experiment_declared(**given)
            check_event(event, _LIMITS)
            found.append(event)
        return found[-1].SerializeToString()

    def address(self, given: str | None) -> str | None:
        """Returns the address, or None if it is malformed. In this case, no sender is started."""
        with self._notices.guard("address", outcome="results wait in the outbox"):
            address = server_address(coerce.optional(coerce.text, given, "address"))
            if address.startswith(_UNIX):
                # The sender runs in another folder.
                address = _UNIX + str(Path(address.removeprefix(_UNIX)).absolute())
            return address
        return None

    def root(self, given: Any) -> Path:
        if given is not None:
            with self._notices.guard("outbox", outcome="the default folder is used"):
                if not isinstance(given, str | os.PathLike):
                    raise TypeError(f"outbox must be a path, not {coerce.kind_of(given)}")
                return Path(given).expanduser().absolute()
        with self._notices.guard("outbox", outcome="the folder is not used"):
            return default_root().absolute()
        # No folder can be made below this path, so the recorder uses the temporary folder.
        return Path(os.devnull, "outbox")

    def attempt(self, given: Any) -> Attempt | None:
        with self._notices.guard("attempt", outcome="the attempt is not used"):
            return coerce.optional(coerce.instance_of(Attempt), given, "attempt")
        return None

    def rank(self, given: Any) -> Rank | None:
        with self._notices.guard("rank", outcome="the rank is not used"):
            number = coerce.optional(coerce.integer, given, "rank")
            return process_rank() if number is None else Rank(number, "rank=")
        return None

    def close_timeout(self, given: Any) -> float:
        with self._notices.guard("close_timeout", outcome=f"{_CLOSE_TIMEOUT:g} seconds are used"):
            if given is not None:
                return coerce.seconds(given, "close_timeout")
            return _seconds_of(os.environ.get("PODIUM_CLOSE_TIMEOUT", ""))
        return _CLOSE_TIMEOUT

    def integer(self, given: Any, where: str, default: int) -> int:
        with self._notices.guard(where, outcome=f"{default:,} is used"):
            return coerce.integer(given, where)
        return default


def _seconds_of(text: str) -> float:
    try:
        return coerce.seconds(float(text), "PODIUM_CLOSE_TIMEOUT") if text else _CLOSE_TIMEOUT
    except ValueError:
        error = f"PODIUM_CLOSE_TIMEOUT must be a number of seconds, not {text!r}"
        raise ValueError(error) from None


def _is_offline() -> bool:
    return os.environ.get("PODIUM_OFFLINE", "").strip().lower() not in {"", "0", "false", "no"}
