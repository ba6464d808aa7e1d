"""What the handles of an experiment answer from several calls, blocking and awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium._client import compound_calls
from podium._client.connection import AsyncConnection, BlockingConnection
from podium._client.handle_base import ExperimentHandleBase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from podium.comparing import Comparison
    from podium.curves import Curves

__all__ = ["Analysis", "AsyncAnalysis"]


class Analysis(ExperimentHandleBase[BlockingConnection]):
    """Compares the arms of an experiment, and follows them by step."""

    def compare(
        self,
        left: str,
        right: str,
        *,
        kind: str | None = None,
        status: str | Iterable[str] | None = None,
        evals: Iterable[str] | None = None,
    ) -> Comparison:
        """Compares two arms or groups, number by number: the left one less the right one.

        Every metric and breakdown of the rows that answer for an eval name is compared, and the
        training metrics; with Welch's interval and p-value where both sides have two arms.

        Args:
            left: The name of a group, or else of an arm.
            right: The name of the other one.
            kind: `group` or `arm` takes both names for that. None takes a name that is both for
                the group's.
            status: Only arms of a group with this status, or with one of these; `completed` if
                not given. What is left out is named in the result.
            evals: Only these evals.

        Raises:
            NotFoundError: There is no such experiment, group or arm.
        """
        steps = compound_calls.compare(
            self._name, left, right, kind=kind, status=status, evals=evals
        )
        return self._connection.run(steps)

    def curve(
        self,
        metric: str,
        names: Iterable[str] | None = None,
        *,
        by_group: bool = False,
        status: str | Iterable[str] | None = None,
    ) -> Curves:
        """Collects the in-loop values of a metric by step, of arms or of groups of arms.

        Args:
            metric: The name of an eval and a key, such as `val.pass_rate`.
            names: Only the arms, or with `by_group` the groups, of these names.
            by_group: Takes the arms of a group together: mean and interval by step.
            status: Only arms with this status, or with one of these. If not given: arms that are
                named, and else those that are running or completed. What is left out is named in
                the result.

        Raises:
            ValueError: The metric names no eval.
            NotFoundError: There is no such experiment, arm or group.
        """
        steps = compound_calls.curve(self._name, metric, names, by_group=by_group, status=status)
        return self._connection.run(steps)


class AsyncAnalysis(ExperimentHandleBase[AsyncConnection]):
    """`Analysis` for asyncio."""

    async def compare(
        self,
        left: str,
        right: str,
        *,
        kind: str | None = None,
        status: str | Iterable[str] | None = None,
        evals: Iterable[str] | None = None,
    ) -> Comparison:
        """As `ExperimentHandle.compare`, awaited."""
        steps = compound_calls.compare(
            self._name, left, right, kind=kind, status=status, evals=evals
        )
        return await self._connection.run(steps)

    async def curve(
        self,
        metric: str,
        names: Iterable[str] | None = None,
        *,
        by_group: bool = False,
        status: str | Iterable[str] | None = None,
    ) -> Curves:
        """As `ExperimentHandle.curve`, awaited."""
        steps = compound_calls.curve(self._name, metric, names, by_group=by_group, status=status)
        return await self._connection.run(steps)
