"""The handle of an experiment."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from podium import events
from podium._client import calls
from podium._client.aio.analysis import AsyncAnalysis
from podium._client.aio.arm import AsyncArmHandle
from podium._client.aio.attempt import AsyncArmStart, begin_attempt
from podium._client.aio.follower import AsyncLive
from podium._client.aio.watching import watch
from podium._client.listing import AsyncListing
from podium._client.watching import WatchSession
from podium._interface.recorders import new_attempt
from podium._model.listings import Metric
from podium._model.recording import RecordResult
from podium._model.results import ArmResult, ArmSummary, Experiment, Provenance, RunConfig
from podium._model.watching import WatchMarker, WatchUpdate
from podium._values.arguments import ArmStatuses, ConfigFilters, DirectionLike, StepLike, Strings

__all__ = ["AsyncExperimentHandle"]


class AsyncExperimentHandle(AsyncAnalysis):
    """A handle of one experiment on a server. Creating a handle makes no call.

    Every call can raise the errors of `podium.errors`. The description of a method lists the errors
    that are specific to it.
    """

    def arm(self, name: str, *, attempt_id: str | None = None) -> AsyncArmHandle:
        """Returns a handle of an arm. Makes no call, so the arm need not exist yet.

        Args:
            name: The name of the arm.
            attempt_id: The id of the attempt that the handle records for, such as one that another
                process has started. The server rejects events of an attempt after a newer one has
                started. Without an id, it accepts events at any time.
        """
        return AsyncArmHandle(self._connection, self._name, name, attempt_id)

    def watch(
        self,
        *,
        after: WatchUpdate | WatchMarker | int | None = None,
        status: ArmStatuses | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        with_evals: bool = True,
        with_breakdowns: bool = True,
        with_series: bool | Strings = False,
    ) -> AsyncIterator[WatchUpdate]:
        """Yields the state of the experiment as a first update, and then updates with all changes.

        Apply each update to the previous state: the result is the exact state at the revision of
        the update's `marker`. One update can contain the changes of several calls. If the
        connection is lost, the watch reconnects and continues after the last update. It ends when
        the experiment is deleted.

        Args:
            after: The last update that you have, or the marker or revision of that update. If
                given, only later changes are sent.
            status: Watches only arms with this status, or one of these. When an arm gets another
                status, the update has it in `removals`.
            group_name: Watches only arms of this group.
            name_prefix: Watches only arms whose names begin with this text.
            with_evals: Whether the eval rows of the arms are watched, too.
            with_breakdowns: Whether breakdowns of rows and arms are watched, too.
            with_series: True to watch all training series, too, or the keys of those to watch.

        Raises:
            NotFoundError: The experiment does not exist.
            UnavailableError: No server could be reached within 10 s of the start of the watch.
        """
        session = WatchSession(
            self._name,
            after=after,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            with_evals=with_evals,
            with_breakdowns=with_breakdowns,
            with_series=with_series,
        )
        return watch(self._connection, session)

    def follow(
        self,
        *,
        status: ArmStatuses | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        with_evals: bool = True,
        with_breakdowns: bool = True,
        with_series: bool | Strings = False,
    ) -> AsyncLive:
        """Keeps the state of the experiment in memory: `async with experiment.follow() as live`.

        Inside the block, `live` receives all changes. Its methods `arm`, `rank`, `best` and `curve`
        make no calls. In memory, each followed arm takes about 4 kB, each eval row about 2 kB, and
        each point of a training series 16 bytes.

        Args:
            status: Follows only arms with this status, or one of these.
            group_name: Follows only arms of this group.
            name_prefix: Follows only arms whose names begin with this text.
            with_evals: Whether the eval rows of the arms are followed, too.
            with_breakdowns: Whether breakdowns of rows and arms are followed, too.
            with_series: True to follow all training series, too, or the keys of those to follow.
        """
        session = WatchSession(
            self._name,
            after=None,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            with_evals=with_evals,
            with_breakdowns=with_breakdowns,
            with_series=with_series,
        )
        return AsyncLive(self._connection, session)

    async def get(self) -> Experiment:
        """Returns the experiment.

        Raises:
            NotFoundError: The experiment does not exist.
        """
        return await self._connection.run(calls.get_experiment(self._name))

    def arms(
        self,
        *,
        status: ArmStatuses | None = None,
        group_name: str | None = None,
        name_prefix: str | None = None,
        tags: Strings = (),
        config: ConfigFilters | None = None,
        run_configs: bool = True,
        page_size: int | None = None,
    ) -> AsyncListing[ArmSummary]:
        """Lists the arms, without their rows, in the order in which they were created.

        Args:
            status: Lists only arms with this status, or with one of these.
            group_name: Lists only arms of this group.
            name_prefix: Lists only arms whose names begin with this text.
            tags: Lists only arms that have all of these tags.
            config: Lists only arms with these values in the run_config, by path, such as
                `{"algorithm.params.lr": 0.1}`. A pair gives the least and the greatest number;
                None means no limit: `{"seed": (1, None)}`.
            run_configs: Whether to fetch the run_configs. If False, those of the arms are empty.
            page_size: The number of arms to fetch in a call, at most 1,000; 100 if not given.

        Raises:
            NotFoundError: The experiment does not exist. Raised when the first page is fetched.
        """
        pages = calls.arms(
            self._name,
            status=status,
            group_name=group_name,
            name_prefix=name_prefix,
            tags=tags,
            config=config,
            run_configs=run_configs,
            page_size=page_size,
        )
        return self._connection.listing(pages)

    def metrics(self) -> AsyncListing[Metric]:
        """Lists the metrics on which arms have scores, each with the number of these arms.

        Metrics that do not belong to an eval come first. The others are sorted by the bytes of the
        eval's name, then of the key.

        Raises:
            NotFoundError: The experiment does not exist. Raised when the first page is fetched.
        """
        return self._connection.listing(calls.metrics(self._name))

    async def declare(
        self,
        *,
        hypothesis: str | None = None,
        success_metric: str | None = None,
        direction: DirectionLike | None = None,
        parent: str | None = None,
        tags: Strings = (),
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        clear_fields: Strings = (),
    ) -> RecordResult:
        """Creates the experiment, or sets those of its fields that have no value yet.

        A given field that is stored with another value keeps the stored value, unless `overwrite`
        is set. The result lists such fields in `kept_fields`. Each key of the metadata counts as a
        field.

        Args:
            hypothesis: The hypothesis that the experiment tests.
            success_metric: The metric by which arms are compared, such as `test.pass_rate` or
                `loss`.
            direction: Which scores are better: `maximize` or `minimize`.
            parent: The name of the experiment that this one continues.
            tags: Labels.
            metadata: Any other data: JSON-like values by key.
            overwrite: If True, the given values replace stored values that differ.
            clear_fields: The names of the fields to clear: `conclusion`, any argument above except
                `overwrite`, or `metadata.KEY` for one key of the metadata.

        Raises:
            InvalidArgumentError: `clear_fields` has an unknown field, or one that is also given.
        """
        event = events.experiment_declared(
            hypothesis=hypothesis,
            success_metric=success_metric,
            direction=direction,
            parent=parent,
            tags=tags,
            metadata=metadata,
            overwrite=overwrite,
            clear_fields=clear_fields,
        )
        return await self._connection.run(self._recorded(event))

    def start_arm(
        self,
        run_config: RunConfig,
        *,
        name: str | None = None,
        group_id: str | None = None,
        group_name: str | None = None,
        run_id: str | None = None,
        attempt_id: str | None = None,
        order: int | None = None,
        resume_step: StepLike | None = None,
        restart: bool = False,
        provenance: Provenance | None = None,
    ) -> AsyncArmStart:
        """Starts an attempt at training an arm. From then on, the status of the arm is `running`.

        When its block (`async with`) ends, the arm is recorded as completed. If the block raises an
        error, the arm is recorded as failed, with the traceback as its error.

        Args:
            run_config: The configuration of the run.
            name: The name of the arm; the name of the run_config if not given.
            group_id: The id of the group of arms that repeat one configuration.
            group_name: The name of the group of arms that repeat one configuration.
            run_id: The id of the training run in the system that runs it.
            attempt_id: An id that no other attempt uses; a new one if not given.
            order: The attempt with the greatest order is the newest. If not given, it is the
                start time in milliseconds since 1970. If a scheduler counts restarts, its count is
                better.
            resume_step: The step after which this attempt continues an earlier one. The arm keeps
                its metrics, and its in-loop rows and training series up to this step.
            restart: Starts the arm from the beginning, even if it has completed.
            provenance: Where the attempt's code came from, and where it runs. If not given, it is
                collected, unless PODIUM_PROVENANCE is `off`.

        Raises:
            NotFoundError: The experiment was not declared.
            FailedPreconditionError: The arm has a newer attempt than this one (STALE_ATTEMPT). Or
                the arm has completed, and neither resume_step nor restart is given (ARM_FINISHED).
                Or earlier attempts have another run_config (RUN_CONFIG_CHANGED).
        """
        event = events.arm_started(
            name,
            run_config,
            new_attempt(attempt_id, order),
            group_id=group_id,
            group_name=group_name,
            run_id=run_id,
            resume_step=resume_step,
            restart=restart,
            provenance=provenance,
        )
        return begin_attempt(self._connection, self._name, event)

    async def record_arm(self, arm_result: ArmResult, *, replace: bool = False) -> RecordResult:
        """Records an arm with all its results. The stored arm becomes equal to the given one.

        If the same content was recorded before, nothing changes, and rows that were recorded later
        are kept. An arm that is too large for one call is recorded in several calls: first the arm
        with its first rows, then the other rows.

        Args:
            arm_result: The arm. Its output-only fields are ignored.
            replace: Whether to replace the stored arm even if it has attempts, or if the model_ref
                of a row differs. If set, and the same content was recorded before, the rows that
                were recorded after it are removed.

        Returns:
            The revision after the last call, and the number of events that changed something.

        Raises:
            FailedPreconditionError: `replace` is not set, and the stored arm has attempts
                (ARM_HAS_ATTEMPTS), or one of its rows has another model_ref than the given row
                (MODEL_REF_CHANGED).
        """
        event = events.arm_recorded(arm_result, replace=replace)
        return await self._connection.run(calls.record_in_parts(self._name, [event]))

    async def delete(self, *, allow_missing: bool = False) -> int:
        """Deletes the experiment with its arms, and returns its last revision.

        Args:
            allow_missing: If True, the call succeeds even if the experiment does not exist.
        """
        requests = calls.delete_experiment(self._name, allow_missing=allow_missing)
        return await self._connection.run(requests)
