"""Makes the event that starts an arm, from the arguments of `start_arm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium import events
from podium._interface.provenance import collected
from podium._interface.recorders import new_attempt
from podium._limits.event_checks import check_event
from podium._limits.limits import Limits
from podium._model.results import RunConfig
from podium._recorder import kept_results
from podium._recorder.problems import Problems
from podium.errors import PodiumError

if TYPE_CHECKING:
    from podium._recorder.keeper import Keeper
    from podium._recorder.settings import Settings
    from podium.v1.event_pb2 import Event

__all__ = ["started_event"]

_LIMITS = Limits()
_OF_ATTEMPT = frozenset({"attempt_id", "order"})


def started_event(given: dict[str, Any], settings: Settings, keeper: Keeper) -> Event:
    """Returns the event that starts an arm, made from `given`, the arguments of `start_arm`.

    Leaves out invalid arguments. A strict recorder raises an error instead.
    """
    if given["provenance"] is None and settings.has_provenance:
        given = given | {"provenance": collected()}
    shared = settings.attempt
    if shared is not None:
        own = {name: given[name] for name in _OF_ATTEMPT if given[name] is not None}
        given = given | {"attempt_id": shared.id, "order": shared.order} | own
    found: list[Event] = []

    def keep(problems: Problems) -> None:
        for most in (_LIMITS.arm_bytes, _LIMITS.arm_bytes // 8):
            problems.clear()
            found.append(_event(kept_results.start(given, problems, most)))
            problems.arm = found[-1].arm_started.arm
            fault = _fault(found[-1])
            if fault is None:
                return
        problems.lost("run_config", f"run_config cannot be recorded: {fault}")
        bare = kept_results.start(given, Problems(), _LIMITS.arm_bytes)
        found.append(
            _event(bare | {"run_config": RunConfig(bare["run_config"].name or bare["arm"])})
        )

    with keeper.keeping("start_arm", keep):
        found.append(_event(_unchanged(given)))
        check_event(found[-1], _LIMITS)
    event = found[-1]
    if event.ByteSize() > _LIMITS.arm_bytes:
        # A server would reject the event as too large, so the provenance is left out.
        event.arm_started.ClearField("provenance")
    return event


def _unchanged(given: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments for `events.arm_started`, made from those of `start_arm`.

    Renames arguments, but does not correct invalid values.
    """
    attempt = new_attempt(given["attempt_id"], given["order"])
    options = {name: item for name, item in given.items() if name not in _OF_ATTEMPT}
    return options | {"arm": options.pop("name"), "attempt": attempt}


def _event(given: dict[str, Any]) -> Event:
    return events.arm_started(**given)


def _fault(event: Event) -> str | None:
    """Returns the reason why a server would reject an event, or None if it would not."""
    try:
        check_event(event, _LIMITS)
    except PodiumError as error:
        return error.message
    return None
