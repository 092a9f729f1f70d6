from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerFeatureAblation
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from simrun.errors import ModelError, UsageError
from simtool.ablation.measure import CRITERIA, AblationOptions, Provenance
from simtool.ablation.record import AblationRecord
from simtool.data.labels import IGNORE
from simtool.weighting.weigh import WeightingOptions, weigh
from tests.simtool.tiny import ablate_halves, tiny_head, tiny_trunk

pytestmark = pytest.mark.usefixtures("double")

FEW = AblationOptions(resamples=50)


def provenance(classes: int = 4) -> Provenance:
    return Provenance("relu", "train", "data", "weights", tuple(str(c) for c in range(classes)))


def tiny_data(samples: int = 37, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(samples, 1, 8, 9, generator=generator)
    return images, torch.randint(classes, (samples,), generator=generator)


def run(
    trunk: nn.Module,
    head: nn.Module,
    batch: int = 10,
    options: AblationOptions = FEW,
    data: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> AblationRecord:
    images, labels = data or tiny_data()
    pieces = list(zip(images.split(batch), labels.split(batch), strict=True))
    return ablate_halves(trunk, head, pieces, provenance(), options)


def test_blocking_a_filter_is_zeroing_it() -> None:
    trunk, head = tiny_trunk(), tiny_head()
    images, labels = tiny_data()
    record = run(trunk, head)
    with torch.no_grad():
        for index in range(5):
            # Zeroing the last convolution's kernel and bias zeroes its map behind the ReLU too.
            silenced = tiny_trunk()
            silenced.load_state_dict(trunk.state_dict())
            silenced[2].weight[index] = 0
            silenced[2].bias[index] = 0
            logits = head(silenced(images))
            error = (logits.argmax(1) != labels).double().mean()
            assert record.criteria["error"].ablated[index] == pytest.approx(float(error))
            loss = F.cross_entropy(logits, labels)
            assert record.criteria["loss"].ablated[index] == pytest.approx(float(loss))
            true = logits.gather(1, labels[:, None]).mean()
            assert record.criteria["logit"].ablated[index] == pytest.approx(float(true))


def test_per_class_means_add_up_to_the_overall_ones() -> None:
    record = run(tiny_trunk(), tiny_head())
    units = np.array(record.units_per_class)
    assert units.sum() == record.samples == 37
    for measured in record.criteria.values():
        rows = np.array(measured.ablated_per_class)
        assert units @ rows / 37 == pytest.approx(np.array(measured.ablated))
        assert units @ np.array(measured.base_per_class) / 37 == pytest.approx(measured.base)
    activation = np.array(record.mean_activation_per_class)
    assert units @ activation / 37 == pytest.approx(np.array(record.mean_activation))


def test_flips_explain_the_error_change() -> None:
    record = run(tiny_trunk(), tiny_head())
    flips = np.array(record.right_to_wrong) - np.array(record.wrong_to_right)
    assert flips / 37 == pytest.approx(record.criteria["error"].harm)


@settings(max_examples=8, deadline=None)
@given(chunk=st.integers(1, 9), batch=st.integers(1, 40))
def test_chunks_and_batches_do_not_matter(chunk: int, batch: int) -> None:
    torch.manual_seed(3)
    trunk, head = tiny_trunk(), tiny_head()
    whole = run(trunk, head, 37, AblationOptions(chunk=5, resamples=20))
    cut = run(trunk, head, batch, AblationOptions(chunk=chunk, resamples=20))
    assert whole.right_to_wrong == cut.right_to_wrong
    for name in CRITERIA:
        one, other = whole.criteria[name], cut.criteria[name]
        assert one.ablated == pytest.approx(other.ablated, rel=1e-12)
        assert one.harm_low == pytest.approx(other.harm_low, rel=1e-9, abs=1e-12)
        assert one.harm_high == pytest.approx(other.harm_high, rel=1e-9, abs=1e-12)


def test_captum_agrees() -> None:
    trunk, head = tiny_trunk(), tiny_head()
    images, labels = tiny_data()
    record = run(trunk, head)
    whole = nn.Sequential(trunk, head)
    mask = torch.arange(5).view(1, 5, 1, 1)
    oracle = LayerFeatureAblation(whole, trunk)
    drops = oracle.attribute(images, target=labels, layer_mask=mask)
    assert record.criteria["logit"].harm == pytest.approx(drops[:, :, 0, 0].mean(0).numpy())
    assert not trunk._forward_hooks


def test_signed_weights_of_a_linear_head_are_cams() -> None:
    trunk, head = tiny_trunk(), tiny_head()
    record = run(trunk, head)
    weights = weigh(record, "signed", WeightingOptions(per_class=True)).array
    active = np.array(record.mean_activation) > 0
    assert active.sum() >= 3
    assert weights[:, active] == pytest.approx(head[2].weight.detach().numpy()[:, active])


def test_dense_labels_count_positions_and_leave_out_the_ignored() -> None:
    trunk, head = tiny_trunk(), nn.Conv2d(5, 4, 1)
    images, _ = tiny_data(12)
    labels = torch.randint(4, (12, 8, 9), generator=torch.Generator().manual_seed(2))
    labels[:, :3] = IGNORE
    labels[5] = IGNORE
    record = run(trunk, head, 5, data=(images, labels))
    with torch.no_grad():
        maps = trunk(images)
        for index in range(5):
            blocked = maps.clone()
            blocked[:, index] = 0
            loss = F.cross_entropy(head(blocked), labels, ignore_index=IGNORE)
            assert record.criteria["loss"].ablated[index] == pytest.approx(float(loss))
    assert sum(record.units_per_class) == 11 * 5 * 9
    assert record.samples == 12
    cam = weigh(record, "signed", WeightingOptions(per_class=True)).array
    active = np.array(record.mean_activation) > 0
    assert cam[:, active] == pytest.approx(head.weight.detach().numpy()[:, active, 0, 0])


def test_intervals_hold_the_estimate_and_narrow_with_the_data() -> None:
    trunk, head = tiny_trunk(), tiny_head()
    options = AblationOptions(resamples=400)
    widths = []
    for samples in (40, 640):
        record = run(trunk, head, 64, options, tiny_data(samples))
        loss = record.criteria["loss"]
        low, high = np.array(loss.harm_low), np.array(loss.harm_high)
        assert (low <= loss.harm).all()
        assert (loss.harm <= high).all()
        widths.append((high - low).mean())
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.4)  # the square root of 16


def test_interval_is_that_of_the_plain_bootstrap() -> None:
    trunk, head = tiny_trunk(), tiny_head()
    images, labels = tiny_data(400)
    record = run(trunk, head, 64, AblationOptions(resamples=2000), (images, labels))
    with torch.no_grad():
        maps = trunk(images)
        blocked = maps.clone()
        blocked[:, 0] = 0
        harm = F.cross_entropy(head(blocked), labels, reduction="none") - F.cross_entropy(
            head(maps), labels, reduction="none"
        )
    random = np.random.default_rng(5)
    draws = harm.numpy()[random.integers(0, 400, (2000, 400))].mean(1)
    low, high = np.quantile(draws, [0.025, 0.975])
    loss = record.criteria["loss"]
    assert loss.harm_low[0] == pytest.approx(low, abs=0.15 * (high - low))
    assert loss.harm_high[0] == pytest.approx(high, abs=0.15 * (high - low))


def test_record_survives_its_file(tmp_path: Path) -> None:
    record = run(tiny_trunk(), tiny_head())
    path = tmp_path / "ablation.json"
    record.save(path)
    assert AblationRecord.load(path) == record
    path.write_text(path.read_text().replace("right_to_wrong", "rigth"))
    with pytest.raises(ModelError, match="right_to_wrong"):
        AblationRecord.load(path)
    path.write_text('{"schema": "other/1"}')
    with pytest.raises(ModelError, match="other/1"):
        AblationRecord.load(path)


def test_impossible_networks_and_labels_are_refused() -> None:
    trunk, head = tiny_trunk(), tiny_head()
    images, labels = tiny_data()
    with pytest.raises(ModelError, match="only maps"):
        ablate_halves(nn.Flatten(), head, [(images, labels)], provenance(), FEW)
    with pytest.raises(ModelError, match="do not match 4 classes"):
        ablate_halves(trunk, head, [(images, labels + 1)], provenance(), FEW)
    with pytest.raises(ModelError, match="they must match"):
        ablate_halves(trunk, tiny_head(classes=7), [(images, labels)], provenance(), FEW)
    with pytest.raises(ModelError, match="not finite"):
        ablate_halves(trunk, head, [(images * torch.nan, labels)], provenance(), FEW)
    with pytest.raises(ModelError, match="no labelled image"):
        ablate_halves(trunk, head, [], provenance(), FEW)
    with pytest.raises(UsageError, match="impossible"):
        AblationOptions(chunk=0)
