"""Tests of shortened names in tables and pictures."""

from podium._values.shorten_names import shorten_names

from tests.each import each

_CONFIGS = "qwen3-8b_lora_rank{}_lr{}e-4_warmup100_batch64_dropout0.05_adamw_bf16_v{}"


@each(
    ("names", "expected"),
    [
        (["a", "b", "a"], ["a", "b", "a"]),
        (["a" * 80], ["a" * 19 + "…" + "a" * 19]),
        (["run_" + "1" * 80], ["run_…" + "1" * 19]),
        (
            [_CONFIGS.format(rank, 1, 2) for rank in (1, 16, 128)],
            [f"qwen3-8b_…rank{rank}…_bf16_v2" for rank in (1, 16, 128)],
        ),
        (
            [_CONFIGS.format(rank, lr, 2) for rank, lr in ((1, 2), (16, 3))],
            ["qwen3-8b_…rank1_lr2e-4…_bf16_v2", "qwen3-8b_…rank16_lr3e-4…_bf16_v2"],
        ),
        (
            ["x" * 50 + "_a_" + "y" * 50, "x" * 50 + "_b_" + "y" * 50],
            ["xxxxxxxxxx…a…yyyyyyyyyy", "xxxxxxxxxx…b…yyyyyyyyyy"],
        ),
        (["run_" * 12 + "x", "run_" * 13 + "x"], ["run_run_…", "run_run_…run_x"]),
        (["run_" * 10, "run_" * 13], ["run_" * 10, "run_run_run_run_run…_run_run_run_run_"]),
        (["run_run_run_0.00012345_" + "b" * 18], ["run_run_run_…_" + "b" * 18]),
    ],
)
def test_shortened(names: list[str], expected: list[str]) -> None:
    """Words in which names differ are kept. Words that all long names have are left out."""
    assert shorten_names(names) == expected


@each("length", [12, 24, 40])
def test_different_names_stay_different(length: int) -> None:
    """Different names stay different when they are shortened."""
    words = ["rank1", "rank128", "a" * 30, "b.c/d", "seed0"]
    names = [f"{one}_{two}-{three}" for one in words for two in words for three in words]
    assert len({*shorten_names(names, length)}) == len(names)
