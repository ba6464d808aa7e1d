"""Metrics are divided into sets by the prefixes of their names."""

from podium.integrations._prefixed import by_set, training_metrics


def test_sets() -> None:
    """A prefix such as `val_` or `val/` names a set. Other metrics are training metrics."""
    assert by_set({"val_loss": 1, "val/acc": 0.5, "test_loss": 2, "loss": 3, "value_head": 4}) == {
        "val": {"loss": 1.0, "acc": 0.5},
        "test": {"loss": 2.0},
        "": {"loss": 3.0, "value_head": 4.0},
    }
    assert by_set({}) == {}


def test_loaders() -> None:
    """The metrics of each data loader are a set of their own."""
    assert by_set({"val_loss/dataloader_idx_0": 1, "val_loss/dataloader_idx_1": 2}) == {
        "val/dataloader_idx_0": {"loss": 1.0},
        "val/dataloader_idx_1": {"loss": 2.0},
    }
    assert by_set({"accuracy/dataloader_idx_1": 3}) == {"/dataloader_idx_1": {"accuracy": 3.0}}


def test_a_value_that_is_not_a_number() -> None:
    """A value that is not a number is unchanged, so that the recorder can report it."""
    assert by_set({"val_loss": 1, "val_table": [1, 2]}) == {"val": {"loss": 1.0, "table": [1, 2]}}


def test_training_metrics_belong_to_no_set() -> None:
    """Training metrics belong to no set and no data loader.

    A value becomes a float, unless it cannot be converted to one.
    """
    given = {"loss": True, "val_loss": 1, "acc/dataloader_idx_1": 3, "table": [1]}
    assert training_metrics(given) == {"loss": 1.0, "table": [1]}
