"""Tests of the errors that the server builds: their reasons, metadata and incident ids."""

import logging

import pytest
from podium.errors import PodiumError
from podium_server import errors

from tests.each import each


@each(
    ("error", "reason", "metadata", "seconds"),
    [
        (errors.unknown_experiment("x"), "EXPERIMENT_NOT_FOUND", {"experiment": "x"}, None),
        (errors.unknown_arm("x", "a"), "ARM_NOT_FOUND", {"experiment": "x", "arm": "a"}, None),
        (errors.out_of_range("f", "bad"), "FIELD_OUT_OF_RANGE", {"field": "f"}, None),
        (errors.overloaded("busy"), "OVERLOADED", {}, 0.25),
        (errors.overloaded("busy", 2.5), "OVERLOADED", {}, 2.5),
        (errors.shutting_down(), "SHUTTING_DOWN", {}, None),
    ],
)
def test_what_an_error_has(
    error: PodiumError, reason: str, metadata: dict[str, str], seconds: float | None
) -> None:
    """Each error has its reason, its metadata, and the seconds to wait before the next try."""
    assert (error.reason, error.metadata, error.retry_after) == (reason, metadata, seconds)


def test_an_exception_is_an_incident(caplog: pytest.LogCaptureFixture) -> None:
    """An internal error and its log line have the same new id. Only the log has the exception."""
    log, failed = logging.getLogger("podium_server"), ValueError("secret")
    found = [errors.internal_error(log, "an error in M", failed) for _ in range(2)]
    incidents = [error.metadata["incident"] for error in found]
    assert len(set(incidents)) == 2
    for record, error, incident in zip(caplog.records, found, incidents, strict=True):
        assert record.getMessage() == f"incident {incident}: an error in M"
        assert record.exc_info is not None
        assert record.exc_info[1] is failed
        assert error.reason == "INTERNAL"
        assert error.message.startswith(f"an error in M, incident {incident};")
        assert "secret" not in error.message
