from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simrun.cli.console import run_app
from simrun.errors import ModelError, UsageError
from simtool.ablation.record import AblationRecord, CriterionRecord
from simtool.cli.app import app
from simtool.weighting import methods
from simtool.weighting.weigh import (
    METHODS,
    WeightingOptions,
    weigh,
    weight_entropy,
    weighting_options,
)

ERROR = np.array([[0.3, 0.1, 0.2], [0.1, 0.1, 0.4]])
UNITS = (30, 10)


def criterion(rows: np.ndarray, base: float, worse: float) -> CriterionRecord:
    overall = np.array(UNITS) @ rows / 40
    return CriterionRecord(
        worse=worse,
        base=base,
        ablated=tuple(overall),
        harm_low=(0.0,) * len(overall),
        harm_high=(0.0,) * len(overall),
        base_per_class=(base, base),
        ablated_per_class=tuple(tuple(row) for row in rows),
    )


@pytest.fixture
def record() -> AblationRecord:
    return AblationRecord(
        layer="relu",
        baseline="zero",
        split="train",
        samples=40,
        units_per_class=UNITS,
        classes=("a", "b"),
        criteria={
            "error": criterion(ERROR, 0.1, +1.0),
            "loss": criterion(10 * ERROR, 1.0, +1.0),
            "logit": criterion(5 - ERROR, 5.0, -1.0),
        },
        right_to_wrong=(1, 0, 2),
        wrong_to_right=(0, 0, 0),
        mean_activation=(2.0, 0.0, 4.0),
        mean_activation_per_class=((2.0, 0.0, 4.0), (1.0, 0.0, 2.0)),
        resamples=10,
        level=0.95,
        seed=0,
        data_sha256="data",
        checkpoint_sha256="weights",
    )


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


OVERALL = np.array(UNITS) @ ERROR / 40


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("paper-printed", WeightingOptions(), softmax(0.1 - OVERALL)),
        ("paper-code", WeightingOptions(), 40 * (10 * OVERALL - 1)),
        ("uniform", WeightingOptions(), np.full(3, 1 / 3)),
        ("softmax", WeightingOptions(criterion="error"), softmax(OVERALL - 0.1)),
        (
            "softmax",
            WeightingOptions(criterion="error", temperature=0.05),
            softmax((OVERALL - 0.1) / 0.05),
        ),
        ("softmax", WeightingOptions(), softmax(10 * OVERALL - 1)),
        (
            "softmax",
            WeightingOptions(standardise=True),
            softmax((OVERALL - OVERALL.mean()) / OVERALL.std()),
        ),
        ("signed", WeightingOptions(), np.array([OVERALL[0] / 2, 0, OVERALL[2] / 4])),
    ],
)
def test_each_method_by_hand(
    record: AblationRecord, method: str, options: WeightingOptions, expected: np.ndarray
) -> None:
    assert weigh(record, method, options).array[0] == pytest.approx(expected)


def test_rows_per_class(record: AblationRecord) -> None:
    per_class = WeightingOptions(per_class=True)
    for method in METHODS:
        assert weigh(record, method, per_class).array.shape == (2, 3)
    code = weigh(record, "paper-code", per_class).array
    assert code == pytest.approx(np.array(UNITS)[:, None] * (10 * ERROR - 1))
    assert code.sum(0) == pytest.approx(weigh(record, "paper-code", WeightingOptions()).array[0])


def test_the_printed_sign_weighs_the_important_filter_least(record: AblationRecord) -> None:
    important = int(OVERALL.argmax())
    assert weigh(record, "paper-printed", WeightingOptions()).array[0].argmin() == important
    assert weigh(record, "softmax", WeightingOptions()).array[0].argmax() == important


def test_entropy() -> None:
    assert weight_entropy(np.full(8, -0.5)) == pytest.approx(np.log(8))
    assert weight_entropy(np.array([0.0, 3.0, 0.0])) == 0
    assert weight_entropy(np.array([1.0, -1.0, 2.0])) == pytest.approx(1.5 * np.log(2))


def test_entropy_is_the_mean_of_the_rows_and_relative_to_that_of_uniform_weights(
    record: AblationRecord,
) -> None:
    # Rows in proportion to (2, 0, 1) and (0, 0, 3): shares of two thirds and one, and one alone.
    two_thirds = np.log(3) - 2 / 3 * np.log(2)
    both = weigh(record, "paper-code", WeightingOptions(per_class=True))
    assert both.entropy == pytest.approx(two_thirds / 2)
    assert both.relative_entropy == pytest.approx(two_thirds / 2 / np.log(3))
    first = both.first_rows(1)
    assert first.values == both.values[:1]
    assert first.entropy == pytest.approx(two_thirds)
    assert first.relative_entropy == pytest.approx(two_thirds / np.log(3))
    assert replace(first, values=(), entropy=0, relative_entropy=0) == replace(
        both, values=(), entropy=0, relative_entropy=0
    )


def first_filters(record: AblationRecord, filters: int) -> AblationRecord:
    error = criterion(ERROR[:, :filters], 0.1, +1.0)
    return replace(record, criteria={"error": error}, mean_activation=(2.0,) * filters)


def test_a_single_filter_has_uniform_weights(record: AblationRecord) -> None:
    single = first_filters(record, 1)
    for method in ("uniform", "paper-printed"):
        found = weigh(single, method, WeightingOptions())
        assert (found.values, found.entropy, found.relative_entropy) == (((1.0,),), 0, 1)


def test_one_of_two_filters_alone_has_no_entropy(record: AblationRecord) -> None:
    # The errors are 0.25 and 0.1, of which 0.1 without blocking.
    options = WeightingOptions("error", temperature=0.001)
    found = weigh(first_filters(record, 2), "softmax", options)
    assert found.array[0] == pytest.approx([1, 0])
    assert (found.entropy, found.relative_entropy) == pytest.approx((0, 0))


def test_weights_are_signed_where_one_is_below_0(record: AblationRecord) -> None:
    plain = weigh(record, "paper-code", WeightingOptions())
    assert not replace(plain, values=((0.5, 0.0, 0.2),)).signed
    assert replace(plain, values=((0.5, 0.0, 0.2), (0.5, -0.1, 0.2))).signed
    assert weigh(record, "paper-code", WeightingOptions(background="b")).signed


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 1.0, 1.0], [2.0, 1.0, 1.0]],
        [[2.0, 1.0, 1.0], [1.0, 1.0, 1.0]],
        [[2.0, np.nan, 1.0], [2.0, 1.0, 1.0]],
        [[2.0, 1.0, 1.0], [2.0, np.inf, 1.0]],
    ],
    ids=["first class unmoved", "last class unmoved", "not a number", "infinite"],
)
def test_a_row_that_is_zero_or_not_finite_is_refused(
    record: AblationRecord, rows: list[list[float]]
) -> None:
    useless = replace(record, criteria={"loss": criterion(np.array(rows), 1.0, +1.0)})
    with pytest.raises(ModelError, match="'paper-code' gives weights that are zero or not finite"):
        weigh(useless, "paper-code", WeightingOptions(per_class=True))


def test_softmax_standardises_unless_told_otherwise() -> None:
    assert weighting_options("softmax", None, None, None, None) == WeightingOptions(
        temperature=1.0, standardise=True
    )
    assert not weighting_options("softmax", None, 1.0, None, None).standardise
    assert not weighting_options("softmax", None, None, False, None).standardise
    assert not weighting_options("signed", None, None, None, None).standardise
    given = WeightingOptions("loss", 0.5, standardise=True, per_class=True)
    assert weighting_options("softmax", "loss", 0.5, True, True) == given


def test_a_record_says_what_it_was_made_with(record: AblationRecord) -> None:
    soft = weigh(record, "softmax", WeightingOptions(criterion="error", temperature=0.5))
    assert (soft.criterion, soft.temperature, soft.sign) == ("error", 0.5, "e_i - E")
    uniform = weigh(record, "uniform", WeightingOptions())
    assert (uniform.criterion, uniform.temperature, uniform.sign) == (None, None, "none")
    contrast = weigh(record, "paper-code", WeightingOptions(background="b"))
    assert contrast.to_json()["background"] == "b"


def test_plain_softmax_of_small_changes_is_almost_uniform(record: AblationRecord) -> None:
    plain = weigh(record, "softmax", WeightingOptions(criterion="error"))
    sharp = weigh(record, "softmax", WeightingOptions(criterion="error", temperature=0.02))
    assert plain.relative_entropy > 0.99
    assert sharp.relative_entropy < plain.relative_entropy


def test_options_that_would_be_ignored_are_refused(record: AblationRecord) -> None:
    with pytest.raises(UsageError, match="no weighting 'paper'"):
        weigh(record, "paper", WeightingOptions())
    with pytest.raises(UsageError, match="takes no --temperature"):
        weigh(record, "paper-code", WeightingOptions(temperature=2))
    with pytest.raises(UsageError, match="goes by error"):
        weigh(record, "paper-printed", WeightingOptions(criterion="loss"))
    with pytest.raises(UsageError, match="above 0"):
        WeightingOptions(temperature=0)
    with pytest.raises(ModelError, match="no criterion 'margin'"):
        weigh(record, "softmax", WeightingOptions(criterion="margin"))


def test_background_is_subtracted_by_hand(record: AblationRecord) -> None:
    contrast = WeightingOptions(background="b")
    difference = 10 * (ERROR[0] - ERROR[1])
    assert weigh(record, "paper-code", contrast).array[0] == pytest.approx(difference)
    standard = (difference - difference.mean()) / difference.std()
    options = WeightingOptions(background="b", standardise=True)
    assert weigh(record, "softmax", options).array[0] == pytest.approx(softmax(standard))
    # The drop of each class's logit over the activation on that class; filter 1 never responds.
    signed = [ERROR[0, 0] / 2 - ERROR[1, 0] / 1, 0, ERROR[0, 2] / 4 - ERROR[1, 2] / 2]
    assert weigh(record, "signed", contrast).array[0] == pytest.approx(signed)


def test_background_leaves_the_printed_reading_and_uniform_alone(record: AblationRecord) -> None:
    for method in ("paper-printed", "uniform"):
        plain = weigh(record, method, WeightingOptions())
        contrast = weigh(record, method, WeightingOptions(background="b"))
        assert contrast.values == plain.values
        assert "background" not in contrast.to_json()


def test_background_has_no_row_of_its_own(record: AblationRecord) -> None:
    per_class = WeightingOptions(per_class=True, background="b")
    for method in METHODS:
        assert weigh(record, method, per_class).array.shape == (1, 3)
    with pytest.raises(ModelError, match="no class 'c'"):
        weigh(record, "paper-code", WeightingOptions(background="c"))


def test_a_new_weighting_is_one_module_and_one_line_of_the_table(
    record: AblationRecord,
    digit_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "squared.py").write_text(
        "from simtool.weighting.base import Method, harm\n"
        "def _squared(record, criterion, options):\n"
        "    return harm(record, criterion, options) ** 2\n"
        "SQUARED = Method(_squared, 'loss', 'e_i - E', choosable=True)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from squared import SQUARED  # type: ignore[import-not-found]

    monkeypatch.setattr(methods, "METHODS", {**methods.METHODS, "squared": SQUARED})
    weights = weigh(record, "squared", WeightingOptions(criterion="error"))
    assert weights.array == pytest.approx((OVERALL - 0.1).reshape(1, -1) ** 2)
    monkeypatch.setenv("SIMTOOL_DATA", str(digit_folder))
    arguments = ["export", "--out", str(tmp_path / "mine"), "--weighting", "squared"]
    with pytest.raises(SystemExit) as ended:
        run_app(app, "simtool", arguments)
    assert not ended.value.code
    bundle = json.loads((tmp_path / "mine" / "model.json").read_text())
    assert (bundle["weighting"]["method"], bundle["weighting"]["criterion"]) == ("squared", "loss")
