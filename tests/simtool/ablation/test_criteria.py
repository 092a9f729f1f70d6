"""What an ablation measures, in units that are worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from simrun.errors import ModelError
from simtool.ablation.criteria import CRITERIA, Units
from simtool.data.labels import IGNORE

LN2 = math.log(2)
ZERO = [LN2, 0.0, 0.0]
"""Logits of class 0, whose shares are 1/2, 1/4 and 1/4."""
ONE = [0.0, LN2, 0.0]
"""Of class 1."""

pytestmark = pytest.mark.usefixtures("double")


def test_each_criterion_by_hand() -> None:
    # An image of class 0 and one of class 1, taken for class 0 first, and for class 1 then.
    values = Units.of(torch.tensor([0, 1]), 3).measure(torch.tensor([[ZERO] * 2, [ONE] * 2]))
    wanted = {
        "error": [[0, 1], [1, 0]],
        "loss": [[LN2, 2 * LN2], [2 * LN2, LN2]],
        "logit": [[LN2, 0], [0, LN2]],
        "margin": [[LN2, -LN2], [-LN2, LN2]],
    }
    assert values.keys() == wanted.keys()
    for name, rows in wanted.items():
        assert values[name].numpy() == pytest.approx(np.array(rows))


def test_the_harm_of_every_criterion_is_above_0_where_an_image_turns_wrong() -> None:
    units = Units.of(torch.tensor([0]), 3)
    before, after = (units.measure(torch.tensor([[logits]])) for logits in (ZERO, ONE))
    harm = {name: c.worse * float(after[name] - before[name]) for name, c in CRITERIA.items()}
    assert harm == pytest.approx({"error": 1, "loss": LN2, "logit": LN2, "margin": 2 * LN2})


def test_an_image_without_a_label_is_no_unit() -> None:
    units = Units.of(torch.tensor([0, IGNORE, 1]), 3)
    logits = torch.tensor([[ZERO, [9.0, 9, 9], ONE], [ONE, [9.0, 9, 9], ZERO]])
    values = units.measure(logits)
    assert values["error"].tolist() == [[0, 0], [1, 1]]
    assert units.per_image(values["error"]).tolist() == [[0, 1], [0, 0], [0, 1]]
    assert units.per_class(values["error"]).tolist() == [[0, 1], [0, 1], [0, 0]]
    assert units.counts().tolist() == [1, 0, 1]


@pytest.fixture
def dense() -> Units:
    """Two images of 1 x 3 positions; of the first two are labelled, of the second none."""
    return Units.of(torch.tensor([[[1, IGNORE, 0]], [[IGNORE] * 3]]), 3)


def test_labelled_positions_are_units_of_their_own(dense: Units) -> None:
    # (G, N, C, h, w): the first image is right at its last position and wrong at its first.
    logits = torch.tensor([[ZERO, [9.0, 9, 9], ZERO], [ONE] * 3]).movedim(-1, 1)
    values = dense.measure(logits[None, :, :, None])
    assert values["error"].tolist() == [[1, 0]]
    assert values["logit"].tolist() == [[0, pytest.approx(LN2)]]


def test_as_many_positions_as_images_are_still_summed_by_image(dense: Units) -> None:
    values = torch.tensor([[1.0, 2.0], [5.0, 7.0]])
    assert dense.per_image(values).tolist() == [[3, 12], [0, 0]]
    assert dense.per_class(values).tolist() == [[2, 7], [1, 5], [0, 0]]
    assert dense.counts().tolist() == [2, 0]


def test_images_are_summed_in_their_order_whatever_their_class() -> None:
    units = Units.of(torch.tensor([2, 0, 2]), 3)
    values = torch.tensor([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]])
    assert units.per_image(values).tolist() == [[1, 10], [2, 20], [4, 40]]
    assert units.per_class(values).tolist() == [[2, 20], [0, 0], [5, 50]]
    assert units.counts().tolist() == [1, 1, 1]


@pytest.mark.parametrize(("labels", "found"), [([0, 3], "0 to 3"), ([-1, 2], "-1 to 2")])
def test_a_label_that_is_no_class_is_refused(labels: list[int], found: str) -> None:
    with pytest.raises(ModelError, match=f"labels {found} do not match 3 classes"):
        Units.of(torch.tensor(labels), 3)


def test_a_batch_without_labels_has_no_units() -> None:
    units = Units.of(torch.tensor([IGNORE, IGNORE]), 3)
    assert units.measure(torch.zeros(2, 2, 3))["loss"].shape == (2, 0)
    assert units.per_image(torch.zeros(2, 0)).tolist() == [[0, 0], [0, 0]]


def test_logits_of_another_shape_are_refused(dense: Units) -> None:
    images = Units.of(torch.tensor([0, 1]), 3)
    for units, shape in ((images, (1, 2, 4)), (images, (1, 3, 3)), (dense, (1, 2, 3, 3, 1))):
        with pytest.raises(ModelError, match="they must match"):
            units.measure(torch.zeros(shape))


def test_only_what_is_counted_must_be_finite(dense: Units) -> None:
    logits = torch.full((1, 2, 3, 1, 3), torch.nan)
    logits[0, 0, :, 0, [0, 2]] = 0
    assert dense.measure(logits)["loss"].tolist() == [[pytest.approx(math.log(3))] * 2]
    logits[0, 0, 1, 0, 2] = torch.inf
    with pytest.raises(ModelError, match="not finite"):
        dense.measure(logits)
