"""A run's report as files and text: index.html, its drawings as PNG, a summary of a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import cv2
import numpy as np

from simtool.ablation.record import AblationRecord
from simtool.reporting.charts import (
    Chart,
    draw_deletion,
    draw_filters,
    draw_importance,
    draw_training,
    draw_weights,
)
from simtool.reporting.figure2_page import figure2_files, figure2_section, score_lines
from simtool.reporting.maps_by_weighting import PictureMaps
from simtool.reporting.page import Table, render_page
from simtool.reporting.paper import reported_percent
from simtool.reporting.pictures import Picture, embed, false_colours
from simtool.reporting.run_report import Figure2, RunReport
from simtool.runs.folder import RunConfig
from simtool.runs.recipes import AnyRecipe, ReaderRecipe, Recipe
from simtool.weighting.weigh import Weighting

MARK_FILE: Final = "weights.png"
"""A file that every report has."""
_WIDTH: Final = 480
"""Width of the embedded pictures in pixels."""


def render(
    report: RunReport,
    figure2: Figure2 | None,
    command: str,
    maps: Sequence[PictureMaps] = (),
) -> dict[str, bytes]:
    """The files of the report: name -> content."""
    charts = _charts(report)
    record = report.record
    page = render_page(
        "run.html.j2",
        f"Report on {report.name}",
        particulars=list(_facts(report, figure2, command)),
        charts=charts,
        accuracy=_accuracy_table(report) if report.history else None,
        record=record,
        error=record.criterion("error"),
        loss=record.criterion("loss"),
        filters=_filter_table(record),
        stability=_stability_table(record),
        weightings=_weighting_table(report.weightings),
        impossible=report.impossible,
        shares=_share_table(report.weightings, record.filters),
        maps=[_coloured_maps(one) for one in maps],
        figure2=figure2_section(figure2, report.checkpoint_sha256) if figure2 else None,
    )
    return {
        "index.html": page.encode(),
        **{f"{name}.png": chart.png for name, chart in charts.items()},
        **(figure2_files(figure2.comparisons) if figure2 else {}),
    }


def text_summary(report: RunReport, figure2: Figure2 | None) -> str:
    """The report in a few lines of text."""
    if report.history:
        accuracy = f"test accuracy {_percent(report.history[-1]['test']['overall'])} %"
    else:
        error = report.record.criterion("error").base
        accuracy = f"accuracy on the ablated data {_percent(1 - error)} %"
    weights = (
        f"weights {title}: entropy {w.entropy:.3f} nats, {w.relative_entropy:.3f} of uniform"
        for title, w in report.weightings.items()
    )
    return "\n".join([accuracy, *weights, *score_lines(figure2.comparisons if figure2 else ())])


def accuracy_rows(report: RunReport) -> Iterator[list[str]]:
    """Rows of the accuracy table, in percent: class by class, then overall."""
    test = report.history[-1]["test"]
    seeds = report.seeds
    classes = [*report.record.classes, "overall"]
    own = [*test["per_class"], test["overall"]]
    paper = _paper(report)
    for index, (name, value) in enumerate(zip(classes, own, strict=True)):
        row = [name, _percent(value)]
        if seeds is not None:
            mean, spread = _seed_values(seeds, index)
            row.append(f"{100 * mean:.2f} ± {100 * spread:.2f}")
            value = mean
        if paper is not None:
            difference = "-" if value is None else f"{100 * value - paper[index]:+.2f}"
            row += [f"{paper[index]:.2f}", difference]
        yield row


def _accuracy_table(report: RunReport) -> Table:
    columns = ["class", "this run"]
    if report.seeds is not None:
        columns.append(f"mean of {report.seeds['seeds']} seeds ± SD")
    if _paper(report) is not None:
        columns += ["paper, Table 2", "run - paper" if report.seeds is None else "mean - paper"]
    return Table(columns, list(accuracy_rows(report)))


def _paper(report: RunReport) -> tuple[float, ...] | None:
    return reported_percent(report.config.recipe.name) if report.config else None


def _seed_values(seeds: Mapping[str, Any], index: int) -> tuple[float, float]:
    """Mean and standard deviation over seeds of a class's accuracy; of the overall one last."""
    means = [*seeds["per_class_mean"], seeds["mean"]]
    spreads = [*seeds["per_class_std"], seeds["std"]]
    return float(means[index]), float(spreads[index])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _charts(report: RunReport) -> dict[str, Chart]:
    """The drawings by name; which there are depends on what the run has."""
    error, loss = report.record.criterion("error"), report.record.criterion("loss")
    charts = {
        "weights": draw_weights(
            {
                f"{title}\n{w.relative_entropy:.3f} of uniform": w.array[0]
                for title, w in report.weightings.items()
            }
        ),
        "importance": draw_importance(
            loss.harm, np.array(loss.harm_low), np.array(loss.harm_high), "loss added, nats"
        ),
    }
    if report.history:
        losses = [epoch["loss"] for epoch in report.history]
        accuracies = [epoch["test"]["overall"] for epoch in report.history]
        charts["training"] = draw_training(losses, accuracies)
    if report.kernels is not None:
        low, high = 100 * np.array(error.harm_low), 100 * np.array(error.harm_high)
        charts["filters"] = draw_filters(
            report.kernels, 100 * error.harm, low, high, "error added, points"
        )
    curve = report.record.deletion
    if curve is not None:
        charts["deletion"] = draw_deletion(
            curve.blocked, curve.by_harm, curve.by_norm, curve.random
        )
    return charts


def _facts(report: RunReport, figure2: Figure2 | None, command: str) -> Iterator[tuple[str, str]]:
    record = report.record
    if report.config is not None:
        yield from _recipe_facts(report.config, len(report.history))
    yield "weights", f"SHA-256 {report.checkpoint_sha256}"
    yield "ablated data", f"SHA-256 {record.data_sha256}"
    yield (
        "ablation",
        f"layer {record.layer}, {record.filters} filters blocked by {record.baseline}, measured "
        f"on {record.samples} images of the split '{record.split}'",
    )
    if figure2 is not None:
        meta = figure2.localizer.meta
        yield (
            "localizer",
            f"{meta.name}, SHA-256 {figure2.localizer.bundle.sha256}, weighting "
            f"{meta.weighting.get('method', 'not recorded')}, side {figure2.localizer.side} px, "
            f"map threshold {meta.map_threshold:g}",
        )
    yield "command", command


def _recipe_facts(config: RunConfig, epochs: int) -> Iterator[tuple[str, str]]:
    recipe = config.recipe
    if isinstance(recipe, ReaderRecipe):
        batch = f"{recipe.columns} columns a batch"
    else:
        batch = f"batch {recipe.batch}"
    yield "recipe", f"{recipe.name}: {recipe.net} on {recipe.data}, {batch}"
    yield (
        "optimizer",
        f"{_schedule(recipe)}, {epochs} of {recipe.epochs} epochs, seed {config.seed}",
    )
    yield "training data", f"SHA-256 {config.data_sha256}"


def _schedule(recipe: AnyRecipe) -> str:
    if not isinstance(recipe, Recipe):
        return (
            f"AdamW, learning rate from {recipe.learning_rate:g} along a cosine, "
            f"{recipe.steps} steps an epoch"
        )
    rate, decay = recipe.learning_rate, recipe.lr_decay
    return f"Adam, learning rate {rate:g} / (1 + {decay:g} t) in iteration t"


def _filter_table(record: AblationRecord) -> Table:
    error, loss = record.criterion("error"), record.criterion("loss")
    columns = ["filter", "e_i, %", "e_i - E, points", "interval", "loss added"]
    rows = [
        [
            str(i),
            f"{100 * error.ablated[i]:.2f}",
            f"{100 * error.harm[i]:+.2f}",
            f"{100 * error.harm_low[i]:+.2f} to {100 * error.harm_high[i]:+.2f}",
            f"{loss.harm[i]:+.4f}",
            str(record.right_to_wrong[i]),
            str(record.wrong_to_right[i]),
            f"{record.mean_activation[i]:.3f}",
        ]
        for i in range(record.filters)
    ]
    return Table([*columns, "right to wrong", "wrong to right", "mean response"], rows)


def _stability_table(record: AblationRecord) -> Table:
    rows = [
        [name, f"{s.mean:.3f}", f"{s.least:.3f} to {s.most:.3f}"]
        for name, s in record.stability.items()
    ]
    return Table(["criterion", "mean", "range"], rows)


def _weighting_table(weightings: Mapping[str, Weighting]) -> Table:
    rows = [
        [
            title,
            w.criterion or "-",
            w.sign,
            f"{w.entropy:.4f}",
            f"{w.relative_entropy:.4f}",
            f"{w.array.min():.4g}",
            f"{w.array.max():.4g}",
        ]
        for title, w in weightings.items()
    ]
    columns = ["weighting", "criterion", "sign", "entropy, nats", "of uniform", "least", "largest"]
    return Table(columns, rows)


def _share_table(weightings: Mapping[str, Weighting], filters: int) -> Table:
    """Each filter's weight as a share of sum |w|, a column a weighting."""
    shares = [w.array[0] / np.abs(w.array[0]).sum() for w in weightings.values()]
    rows = [[str(i), *(f"{share[i]:+.4f}" for share in shares)] for i in range(filters)]
    return Table(["filter", *weightings], rows)


def _coloured_maps(one: PictureMaps) -> list[Picture]:
    """The picture, then H by each weighting in false colours."""
    height, width = one.image.shape[:2]
    pictures = [embed(one.image, one.name, _WIDTH)]
    for title, heat in one.maps.items():
        grey = (255 * heat.clip(0, 1)).astype(np.uint8)
        large = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR)
        pictures.append(embed(false_colours(np.asarray(large, np.uint8)), title, _WIDTH))
    return pictures
