"""Tests of changing the notes, tags and group of an arm that exists.

The changes are made with both clients and with the recorder.
"""

from pathlib import Path
from typing import Any

import podium
import pytest
from podium import events
from podium_server.testing import RunningServer

from tests.client.client.both import AnyClient, entered, items, result

CONFIG = podium.RunConfig("a", tags=["lora", "draft"], seed=0)


async def labels(arm: Any) -> tuple[Any, ...]:
    """Returns the notes, tags, group name and group id of an arm."""
    found = await result(arm.get())
    notes = found.annotations and found.annotations.notes
    return notes, found.tags, found.group_name, found.group_id


async def test_annotating_changes_what_is_given(client: AnyClient, declared: str) -> None:
    """annotate() changes only what is given. An empty string removes the notes or group.

    A repeated call changes nothing.
    """
    experiment = client.experiment(declared)
    arm = await result(experiment.start_arm(CONFIG, group_name="seeds", group_id="7"))
    await result(arm.annotate(notes="bad shard", add_tags=["broken", "lora"]))
    assert await labels(arm) == ("bad shard", ["lora", "draft", "broken"], "seeds", "7")
    await result(arm.annotate(remove_tags=["draft"], group_name="others"))
    assert await labels(arm) == ("bad shard", ["lora", "broken"], "others", None)
    revision = (await result(experiment.get())).revision
    await result(arm.annotate(remove_tags=["draft"], group_name="others", notes="bad shard"))
    assert (await result(experiment.get())).revision == revision
    await result(arm.annotate(notes="", group_name="", add_tags=["draft"]))
    assert await labels(arm) == (None, ["lora", "draft", "broken"], None, None)
    assert (await result(arm.get())).run_config == CONFIG


async def test_lists_and_rankings_go_by_the_annotations(client: AnyClient, declared: str) -> None:
    """Filters, rankings by group and watches use the annotated tags and group."""
    experiment = client.experiment(declared)
    for name, score in [("a", 0.5), ("b", 0.7)]:
        config = podium.RunConfig(name, tags=["draft"])
        async with entered(experiment.start_arm(config, group_name=name)) as run:
            await result(run.log_eval("test", {"pass_rate": score}))
        await result(run.annotate(group_name="both", add_tags=[name], remove_tags=["draft"]))
    assert [arm.name for arm in await items(experiment.arms(tags=["a"]))] == ["a"]
    assert await items(experiment.arms(tags=["draft"])) == []
    (listed, _) = await items(experiment.arms(group_name="both"))
    assert (listed.tags, listed.annotations.group_name) == (["a"], "both")
    ranking = await result(experiment.rank_groups())
    assert [(group.group_name, group.statistics.n) for group in ranking.groups] == [("both", 2)]
    async with entered(experiment.follow()) as live:
        arm = live.state.arms["a"].result
    assert (arm.tags, arm.annotations) == (["a"], listed.annotations)


async def test_annotations_outlast_attempts_and_imports(client: AnyClient, declared: str) -> None:
    """An arm keeps its annotations if a later attempt starts, or if record_arm() sends none.

    If record_arm() sends annotations, they replace the stored ones.
    """
    experiment = client.experiment(declared)
    async with entered(experiment.start_arm(CONFIG, group_name="seeds", order=1)) as arm:
        await result(arm.annotate(notes="n", add_tags=["x"], remove_tags=["lora"], group_name="g"))
    await result(experiment.start_arm(CONFIG, group_name="seeds", order=2, restart=True))
    expected = ("n", ["draft", "x"], "g", None)
    assert await labels(arm) == expected
    whole = podium.ArmResult("a", CONFIG, "completed", group_name="seeds")
    await result(experiment.record_arm(whole, replace=True))
    assert await labels(arm) == expected
    copied = await result(arm.get())
    copied.name = "b"
    await result(experiment.record_arm(copied))
    assert await labels(client.arm(declared, "b")) == expected
    copied.annotations = podium.Annotations(notes="other")
    await result(experiment.record_arm(copied))
    assert await labels(client.arm(declared, "b")) == ("other", ["lora", "draft"], "g", None)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"add_tags": ["x"], "remove_tags": ["y", "x"]}, "remove_tags"),
        ({"add_tags": [""]}, "add_tags"),
        ({"group_name": "a\nb"}, "group_name"),
        ({"notes": "a\0b"}, "notes"),
        ({"notes": "n" * 65_537}, "notes"),
    ],
)
def test_bad_annotations_name_their_field(
    blocking: podium.Client, declared: str, given: dict[str, Any], field: str
) -> None:
    """An invalid argument is rejected with an error that names its field, and changes nothing."""
    arm = blocking.experiment(declared).start_arm(CONFIG)
    with pytest.raises(podium.InvalidArgumentError) as caught:
        arm.annotate(**given)
    assert caught.value.metadata["field"] == f"events[0].arm_annotated.{field}"
    assert arm.get().annotations is None


def test_an_unknown_arm_is_not_annotated(blocking: podium.Client, declared: str) -> None:
    """Annotating an arm that does not exist fails with NOT_FOUND. The arm is not created."""
    with pytest.raises(podium.NotFoundError):
        blocking.arm(declared, "nobody").annotate(notes="n")
    assert list(blocking.experiment(declared).arms()) == []


def test_too_many_tags_over_time(blocking: podium.Client, declared: str) -> None:
    """The limit of tags applies to all tags of an arm, even if several calls add them."""
    arm = blocking.experiment(declared).start_arm(CONFIG)
    arm.annotate(add_tags=[f"t{n}" for n in range(1_000)])
    with pytest.raises(podium.PodiumError, match="1,001 keys"):
        arm.annotate(add_tags=["one more"])


def test_a_recorder_annotates(server: RunningServer, name: str, tmp_path: Path) -> None:
    """A recorder delivers annotations in order, and leaves out invalid tags."""
    outbox = tmp_path / "outbox"
    with podium.record(name, address=server.address, outbox=outbox) as experiment:
        with experiment.start_arm(CONFIG) as arm:
            arm.annotate(notes="first", add_tags=["x"])
            arm.annotate(notes="spiked", add_tags=["y", None], remove_tags=["x"])  # type: ignore[list-item]
        assert experiment.flush(120).pending == 0
    with podium.Client(server.address) as client:
        found = client.arm(name, "a").get()
    assert found.annotations == podium.Annotations("spiked", ["y"], ["x"])
    assert found.tags == ["lora", "draft", "y"]


def test_an_event_without_changes_changes_nothing(blocking: podium.Client, declared: str) -> None:
    """An annotation event without notes, tags and group does not count as a change."""
    blocking.experiment(declared).start_arm(CONFIG)
    done = blocking.record(declared, [events.arm_annotated("a")])
    assert done.changed_events == 0
