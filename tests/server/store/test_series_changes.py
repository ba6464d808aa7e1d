"""Tests of the step from which a consumer reads a changed training series again."""

from random import Random

from podium_server.store.series_changes import changed_from, with_change

from tests.each import each


@each("seed", range(5))
def test_no_changed_step_is_left_out(seed: int) -> None:
    """`changed_from` never returns a later step than the first that changed after a revision."""
    rng, content, changes = Random(seed), b"", list[tuple[int, int]]()  # noqa: S311 - not secret
    for revision in range(1, 400):
        step = revision if rng.random() < 0.95 else rng.randrange(revision)
        content = with_change(content, revision, step)
        changes.append((revision, step))
        after = rng.randrange(revision)
        needed = min(step for changed, step in changes if changed > after)
        found = changed_from(content, after)
        assert found is not None
        assert found <= needed
        assert changed_from(content, revision) is None
        assert len(content) <= 24 * 16


def test_appended_points_are_rarely_repeated() -> None:
    """If points are only appended, a consumer reads at most about twice as many as it needs."""
    content, commits = b"", 100_003
    for revision in range(1, commits + 1, 7):
        content = with_change(content, revision, revision)
    for behind in (1, 10, 1_000, 10_000, commits - 1):
        found = changed_from(content, commits - behind)
        assert found is not None
        assert commits - found <= 2 * behind + 7
    assert changed_from(b"", 0) is None
