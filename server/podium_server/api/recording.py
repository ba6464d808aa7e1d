"""The rpcs of RecordingService.

Each handler checks its request, and passes the request to the store. A handler has the name of its
rpc in snake case. It takes the request and returns the response.
"""

import asyncio
import time
from collections.abc import Sequence

from podium._limits.checks import check_count, check_experiment_name, check_name, check_range
from podium._limits.event_checks import check_metric_count
from podium._limits.limits import Limits
from podium.v1 import recording_service_pb2 as recording_pb2
from podium.v1.event_pb2 import Event

from podium_server.api.callers import CALLER
from podium_server.api.row_quotas import RowClaim
from podium_server.errors import failure
from podium_server.store.contract import Store
from podium_server.writes import DeleteArmCall, DeleteExperimentCall, RecordCall

__all__ = ["Recording"]

_MAX_SEQUENCE = 2**63 - 1
# Larger calls, and calls with more events that are not eval rows, are parsed in a thread.
_LARGE_CALL_BYTES = 64 * 1024
_MANY_EVENTS = 20


class Recording:
    """Serves RecordingService: checks calls, and passes them to a store."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._lookup_limits = limits.for_lookups()

    async def record(self, request: recording_pb2.RecordRequest) -> recording_pb2.RecordResponse:
        """Records events of one experiment, all of them or none."""
        size, events, usage = request.ByteSize(), request.events[:], CALLER.get().usage
        usage.count_recorded(len(events), size)
        claim = RowClaim(usage.row_quotas) if usage.row_quotas else None
        if _is_large(events, size):
            call = await asyncio.to_thread(self._call, request, events, size, claim)
        else:
            call = self._call(request, events, size, claim)
        if claim is None:
            outcome = await self._store.transact(call)
        else:
            outcome = await claim.hold(lambda: self._store.transact(call))
        response = recording_pb2.RecordResponse(
            revision=outcome.revision,
            changed_events=outcome.changed_events,
            skipped_events=outcome.skipped_events,
            last_sequence=outcome.last_sequence,
        )
        for index, path in outcome.kept_fields:
            response.kept_fields.add(event_index=index, path=path)
        if outcome.replaced_attempts:
            response.replaced_attempts.extend(outcome.replaced_attempts)
        return response

    def _call(
        self,
        request: recording_pb2.RecordRequest,
        events: Sequence[Event],
        size: int,
        claim: RowClaim | None,
    ) -> RecordCall:
        """Checks the request and builds its RecordCall."""
        self._check_record(request, events, size)
        token = CALLER.get().token
        return RecordCall(
            request.experiment,
            events,
            request.position if request.HasField("position") else None,
            limits=self._limits,
            now=_now(),
            size=size,
            owner=None if token is None else token.name,
            claim_rows=None if claim is None else claim.take,
            validate_only=request.validate_only,
        )

    async def delete_arm(
        self, request: recording_pb2.DeleteArmRequest
    ) -> recording_pb2.DeleteArmResponse:
        """Deletes an arm."""
        check_experiment_name(request.experiment, "experiment", self._lookup_limits)
        check_name(request.arm, "arm", self._lookup_limits)
        call = DeleteArmCall(
            request.experiment, allow_missing=request.allow_missing, now=_now(), arm=request.arm
        )
        return recording_pb2.DeleteArmResponse(revision=await self._store.transact(call))

    async def delete_experiment(
        self, request: recording_pb2.DeleteExperimentRequest
    ) -> recording_pb2.DeleteExperimentResponse:
        """Deletes an experiment."""
        check_experiment_name(request.experiment, "experiment", self._lookup_limits)
        call = DeleteExperimentCall(
            request.experiment, allow_missing=request.allow_missing, now=_now()
        )
        return recording_pb2.DeleteExperimentResponse(revision=await self._store.transact(call))

    def _check_record(
        self, request: recording_pb2.RecordRequest, events: Sequence[Event], size: int
    ) -> None:
        """Checks the limits of the call as a whole. RecordCall checks each event."""
        check_experiment_name(request.experiment, "experiment", self._limits)
        if not events:
            raise failure("FIELD_MISSING", "events is empty; send at least one", field="events")
        check_count(len(events), "events", self._limits.call_events, "events")
        check_metric_count(events, size, self._limits)
        if request.HasField("position"):
            position = request.position
            check_name(position.writer_id, "position.writer_id", self._limits)
            most = _MAX_SEQUENCE - len(events)
            check_range(position.first_sequence, "position.first_sequence", 1, most)


def _is_large(events: Sequence[Event], size: int) -> bool:
    if size > _LARGE_CALL_BYTES:
        return True
    if len(events) <= _MANY_EVENTS:
        return False
    rows = len([1 for event in events if event.HasField("eval_recorded")])
    return len(events) - rows > _MANY_EVENTS


def _now() -> int:
    """Returns the time in microseconds since 1970."""
    return time.time_ns() // 1000
