"""Records where the training series of an arm changed, as a few pairs of a revision and a step.

A pair means that points at this step or later changed in this revision. Both numbers increase from
pair to pair, because a change at an earlier step replaces the pairs of later steps. For a consumer
that has revision `a`, the first pair with a later revision than `a` counts. The consumer needs all
points from this pair's step on. Older pairs are merged, to keep few of them. So after a long
interruption, a consumer gets some points that it already has.
"""

import struct

__all__ = ["FIRST_STEP", "LAST_STEP", "changed_from", "with_change"]

FIRST_STEP, LAST_STEP = -(2**63), 2**63 - 1
_PAIR = struct.Struct("<qq")
_MOST_PAIRS = 24
"""The most pairs that are kept.

With them, a consumer reads less than twice the needed points, even after 10^6 commits.
"""


def with_change(content: bytes, revision: int, step: int) -> bytes:
    """Returns the encoded pairs with a new one: points at `step` or later changed in `revision`."""
    pairs = [pair for pair in _PAIR.iter_unpack(content) if pair[1] < step]
    pairs.append((revision, step))
    if len(pairs) > _MOST_PAIRS:
        _merge_two(pairs)
    return b"".join(_PAIR.pack(*pair) for pair in pairs)


def changed_from(content: bytes, after: int) -> int | None:
    """Returns the first step whose points may have changed after a revision; None if none has."""
    return next((step for revision, step in _PAIR.iter_unpack(content) if revision > after), None)


def _merge_two(pairs: list[tuple[int, int]]) -> None:
    """Merges two neighbouring pairs: the revision of the later one, the step of the earlier one.

    A consumer of the merged pair also reads some points that have not changed. The two pairs are
    chosen so that these points are few in relation to the points that it needs.
    """
    last = pairs[-1][1]

    def repeated(at: int) -> float:
        return (pairs[at + 1][1] - pairs[at][1]) / (last - pairs[at + 1][1] + 1)

    at = min(range(len(pairs) - 2), key=repeated)
    pairs[at : at + 2] = [(pairs[at + 1][0], pairs[at][1])]
