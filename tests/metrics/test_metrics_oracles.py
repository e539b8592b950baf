"""The oracle reads what is there, no more, and no sooner than it is there."""

import numpy as np
import pytest
import torch

from avnb.metrics.oracles import fit_oracle, judge_oracle, stack_context

FRAMES = 900


def make_sound(seed: int = 0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Features, and quantities that they hold in various ways."""
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(FRAMES, 3, generator=random)
    noise = torch.randn(FRAMES, generator=random)
    return features, {
        "now": 5 + 2 * features[:, 0],
        "past": features[:, 1].roll(3),
        "future": features[:, 1].roll(-3),
        "product": features[:, 0].sign() * features[:, 2].sign(),
        "lot": noise,
        "constant": torch.ones(FRAMES),
        "unknown": torch.full((FRAMES,), torch.nan),
    }


def judge(before: int, after: int = 0) -> dict[str, dict]:
    (heard, truth), (other, right) = make_sound(0), make_sound(1)
    oracle = fit_oracle(heard, truth, before=before, after=after)
    rows = judge_oracle(oracle, other, right, block=90, least=40)
    return {row["quantity"]: row for row in rows}


def test_context_is_the_frames_around_each() -> None:
    features = torch.arange(4.0)[:, None]
    assert stack_context(features, 1, 1).tolist() == [
        [0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3],
    ]  # fmt: skip
    assert torch.equal(stack_context(features, 0, 0), features)


def test_what_is_heard_is_read_and_what_is_drawn_by_lot_is_not() -> None:
    rows = judge(before=4)
    assert set(rows) == {"now", "past", "future", "product", "lot"}
    for name in ("now", "past"):
        assert rows[name]["r"].low > 0.95, name
    assert rows["product"]["r"].low > 0.3  # not linear
    for name in ("lot", "future"):
        assert abs(rows[name]["r"].value) < 0.15, name
    assert rows["lot"]["r"].low < 0 < rows["lot"]["r"].high
    for row in rows.values():
        assert abs(row["r, shifted"].value) < 0.05


def test_a_centred_window_hears_the_future_and_a_short_one_forgets() -> None:
    assert judge(before=2, after=4)["future"]["r"].low > 0.9
    assert abs(judge(before=2)["past"]["r"].value) < 0.15


def test_readings_have_the_units_of_the_truth() -> None:
    features, truth = make_sound()
    found = fit_oracle(features, truth, before=0).read(features)
    error = found["now"] - truth["now"]
    assert error.square().mean().sqrt() < 0.1
    assert found["now"].shape == (FRAMES,)


def test_nothing_to_read_is_said() -> None:
    features, truth = make_sound()
    with pytest.raises(ValueError, match="no quantity of the truth varies"):
        fit_oracle(features, {"constant": truth["constant"]}, before=1)
    with pytest.raises(ValueError, match="9 frames: an oracle needs 10"):
        fit_oracle(features[:9], {"now": truth["now"][:9]}, before=1)


def test_the_linear_part_is_a_ridge_regression() -> None:
    """A weak Gaussian apart, predictions are those of numpy's least squares."""
    features, truth = make_sound()
    oracle = fit_oracle(features, {"now": truth["now"]}, before=0)
    design = np.c_[features.numpy(), np.ones(FRAMES)]
    best, *_ = np.linalg.lstsq(design, truth["now"].numpy(), rcond=None)
    fitted = oracle.read(features)["now"].numpy()
    assert np.abs(fitted - design @ best).max() < 0.5
