"""Tests of Holm's correction of the p-values of several tests."""

import pytest
from podium.statistics import holm


def test_holm() -> None:
    """The corrected p-values are those of R: p.adjust(c(0.01, 0.04, 0.03, …), "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.9])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
