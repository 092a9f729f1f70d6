"""What `simtool report` shows: index.html and the drawings as files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import cv2
import numpy as np

from simrun.images.read import Image, to_bgr
from simtool.reporting.charts import (
    Chart,
    draw_deletion,
    draw_filters,
    draw_importance,
    draw_training,
    draw_weights,
)
from simtool.reporting.eval_page import draw_quads
from simtool.reporting.figure2 import MATCHED, OURS, THEIRS, Comparison, MaskScore, mean_scores
from simtool.reporting.heatmaps import PictureMaps
from simtool.reporting.html import (
    chart,
    encode,
    facts,
    grid,
    page,
    paragraph,
    picture,
    shrink,
    table,
)
from simtool.reporting.paper import TABLE_2_OVERALL_PERCENT, TABLE_2_PERCENT, TABLE_2_RECIPE
from simtool.reporting.run_report import Figure2, RunReport
from simtool.runs.folder import RunConfig
from simtool.runs.recipes import AnyRecipe, SceneRecipe

MARK_FILE: Final = "weights.png"
"""A file that every report has."""
_WIDTH: Final = 480
"""Width of the embedded pictures in pixels."""
_TRUE_BGR: Final = (60, 200, 255)
_MASKS: Final = (OURS, MATCHED, THEIRS)


def render(
    report: RunReport,
    figure2: Figure2 | None,
    command: str,
    maps: Sequence[PictureMaps] = (),
) -> dict[str, bytes]:
    """The files of the report: name -> content."""
    charts = _charts(report)
    body = [
        facts(_facts(report, figure2, command)),
        *(_training(report, charts["training"]) if report.history else ()),
        *_filters(report, charts),
        *_deletion(report, charts),
        *_weights(report, charts["weights"]),
        *_maps(maps),
        *(_figure2(report, figure2) if figure2 else ()),
    ]
    files = {"index.html": page(f"Report on {report.name}", body).encode()}
    files |= {f"{name}.png": drawing.png for name, drawing in charts.items()}
    for one in figure2.comparisons if figure2 else ():
        files[f"figure2-{one.name.replace('.', '-')}.png"] = encode(_strip(one), ".png")
    return files


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


def text_summary(report: RunReport, figure2: Figure2 | None) -> str:
    """The report in a few lines of text."""
    error = report.record.criterion("error").base
    lines = [f"accuracy on the ablated data {_percent(1 - error)} %"]
    if report.history:
        lines = [f"test accuracy {_percent(report.history[-1]['test']['overall'])} %"]
    lines += [
        f"weights {title}: entropy {w.entropy:.3f} nats, {w.relative_entropy:.3f} of uniform"
        for title, w in report.weightings.items()
    ]
    for name, scores in _named_scores(figure2.comparisons if figure2 else ()):
        for whose, score in scores.items():
            precision, recall, f1 = _score_cells(score)
            lines.append(
                f"{name}, {whose}: P {precision} R {recall} F1 {f1}, "
                f"{score.share:.1%} of the picture"
            )
    return "\n".join(lines)


def _charts(report: RunReport) -> dict[str, Chart]:
    error = report.record.criterion("error")
    low, high = np.array(error.harm_low), np.array(error.harm_high)
    tests = [record["test"]["overall"] for record in report.history]
    weights = {
        f"{title}\n{w.relative_entropy:.3f} of uniform": w.array[0]
        for title, w in report.weightings.items()
    }
    harm = (100 * error.harm, 100 * low, 100 * high)
    charts = {"weights": draw_weights(weights)}
    if report.history:
        charts["training"] = draw_training([record["loss"] for record in report.history], tests)
    if report.kernels is not None:
        charts["filters"] = draw_filters(report.kernels, *harm, "error added, points")
    loss = report.record.criterion("loss")
    charts["importance"] = draw_importance(
        loss.harm, np.array(loss.harm_low), np.array(loss.harm_high), "loss added, nats"
    )
    curve = report.record.deletion
    if curve is not None:
        charts["deletion"] = draw_deletion(
            curve.blocked, curve.by_harm, curve.by_norm, curve.random
        )
    return charts


def _schedule(recipe: AnyRecipe) -> str:
    if isinstance(recipe, SceneRecipe):
        return (
            f"AdamW, learning rate from {recipe.learning_rate:g} along a cosine, "
            f"{recipe.steps} steps an epoch"
        )
    rate, decay = recipe.learning_rate, recipe.lr_decay
    return f"Adam, learning rate {rate:g} / (1 + {decay:g} t) in iteration t"


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
    yield "recipe", f"{recipe.name}: {recipe.net} on {recipe.data}, batch {recipe.batch}"
    yield (
        "optimizer",
        f"{_schedule(recipe)}, {epochs} of {recipe.epochs} epochs, seed {config.seed}",
    )
    yield "training data", f"SHA-256 {config.data_sha256}"


def _training(report: RunReport, drawing: Chart) -> Iterator[str]:
    yield "<h2>Training</h2>"
    yield chart(drawing.svg, "Loss over the training data and accuracy on the test data.")
    yield "<h2>Accuracy on the test data, %</h2>"
    columns = ["class", "this run"]
    if report.seeds is not None:
        columns.append(f"mean of {report.seeds['seeds']} seeds ± SD")
    if _paper(report) is not None:
        columns += ["paper, Table 2", "run - paper" if report.seeds is None else "mean - paper"]
    yield table(columns, accuracy_rows(report))


def _filters(report: RunReport, charts: Mapping[str, Chart]) -> Iterator[str]:
    record = report.record
    error, loss = record.criterion("error"), record.criterion("loss")
    yield "<h2>Filters of the ablated layer</h2>"
    yield paragraph(
        f"With all filters the error E is {100 * error.base:.2f} % and the loss "
        f"{loss.base:.4f}. Filter i matters as much as the error e_i without it is above E. The "
        f"thin lines are {record.level:.0%} bootstrap intervals ({record.resamples} resamples of "
        "the images)."
    )
    if "filters" in charts:
        yield chart(
            charts["filters"].svg,
            "Left: kernels, red positive, blue negative. Right: percentage points of error added "
            "by blocking the filter.",
        )
    yield chart(
        charts["importance"].svg,
        f"Loss added by blocking a filter, and its {record.level:.0%} bootstrap interval.",
    )
    columns = ["filter", "e_i, %", "e_i - E, points", "interval", "loss added"]
    yield table(
        [*columns, "right to wrong", "wrong to right", "mean response"],
        (
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
        ),
    )


def _deletion(report: RunReport, charts: Mapping[str, Chart]) -> Iterator[str]:
    """Whether the order of the filters means anything."""
    record = report.record
    if record.stability:
        yield "<h2>Whether the order means anything</h2>"
        yield paragraph(
            "Spearman's rank correlation between the orders that two random halves of the data "
            "give, over the halvings: 1 is the same order, 0 is chance."
        )
        rows = [
            [name, f"{s.mean:.3f}", f"{s.least:.3f} to {s.most:.3f}"]
            for name, s in record.stability.items()
        ]
        yield table(["criterion", "mean", "range"], rows)
    curve = record.deletion
    if curve is not None:
        yield chart(
            charts["deletion"].svg,
            f"Accuracy on {curve.samples} images as filters are blocked one after the other. "
            f"Importance is by the {curve.criterion}, measured on the data that holds these "
            f"images; {len(curve.random)} random orders.",
        )


def _maps(maps: Sequence[PictureMaps]) -> Iterator[str]:
    """Each picture by each weighting."""
    if not maps:
        return
    yield "<h2>Your pictures by each weighting</h2>"
    yield paragraph(
        "H = sum of w_i F_i from the mean over the picture (blue) to its largest value (red), "
        "each drawing on a scale of its own."
    )
    for one in maps:
        figures = [picture(one.image, one.name, width=_WIDTH)]
        for title, heat in one.maps.items():
            grey = (255 * heat.clip(0, 1)).astype(np.uint8)
            size = (one.image.shape[1], one.image.shape[0])
            large = cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR)
            coloured = np.asarray(cv2.applyColorMap(large, cv2.COLORMAP_TURBO), np.uint8)
            figures.append(picture(coloured, title, width=_WIDTH))
        yield grid(figures, fine=True)


def _weights(report: RunReport, drawing: Chart) -> Iterator[str]:
    yield "<h2>Weights by name</h2>"
    yield paragraph(
        "Each weighting turns the ablation into the weights of H = sum of w_i F_i. An entropy of "
        "1 of uniform means that the ablation has no say. Weights are drawn as shares of their "
        "absolute sum, which is all that the shape of H depends on."
    )
    yield chart(drawing.svg, "Share of each filter by weighting; blue positive, orange negative.")
    yield table(
        ["weighting", "criterion", "sign", "entropy, nats", "of uniform", "least", "largest"],
        (
            [
                title,
                w.criterion or "-",
                w.sign,
                f"{w.entropy:.4f}",
                f"{w.relative_entropy:.4f}",
                f"{w.array.min():.4g}",
                f"{w.array.max():.4g}",
            ]
            for title, w in report.weightings.items()
        ),
    )
    if report.impossible:
        yield paragraph("These cannot be made from this ablation:")
        yield facts(report.impossible.items())
    titles = list(report.weightings)
    shares = [w.array[0] / np.abs(w.array[0]).sum() for w in report.weightings.values()]
    yield table(
        ["filter", *titles],
        ([str(i), *(f"{share[i]:+.4f}" for share in shares)] for i in range(report.record.filters)),
    )


def _figure2(report: RunReport, figure2: Figure2) -> Iterator[str]:
    meta = figure2.localizer.meta
    yield "<h2>Figure 2: heatmaps and masks</h2>"
    yield paragraph(
        f"H at the model's side, thresholded at {meta.map_threshold:g}. Where the authors' own "
        "mask is beside the picture, H is also cut so that as many pixels are kept as in theirs. "
        "Precision (P) is the share of the mask inside the annotated boxes, recall (R) the share "
        "of the boxes under the mask: a mask of strokes or outlines fills a box in part only."
    )
    trained = meta.training.get("checkpoint_sha256")
    if trained != report.checkpoint_sha256:
        yield paragraph("The localizer was not exported from this run.")
    if any(one.scores for one in figure2.comparisons):
        yield _score_table(figure2.comparisons)
    for one in figure2.comparisons:
        yield grid(_panels(one), fine=True)
    if figure2.bad:
        yield "<h3>Pictures that could not be used</h3>"
        yield facts(figure2.bad.items())


def _score_table(comparisons: Sequence[Comparison]) -> str:
    """A row a picture, and one for the means; three columns a mask."""
    shown = [whose for whose in _MASKS if mean_scores(comparisons, whose)]
    columns = [f"{whose}: {name}" for whose in shown for name in ("P", "R", "F1")]
    rows = [
        (name, *(cell for whose in shown for cell in _score_cells(scores.get(whose))))
        for name, scores in _named_scores(comparisons)
    ]
    return table(["picture", *columns], rows)


def _named_scores(
    comparisons: Sequence[Comparison],
) -> Iterator[tuple[str, Mapping[str, MaskScore]]]:
    """Scores by mask of each annotated picture, then their means."""
    scored = [one for one in comparisons if one.scores]
    for one in scored:
        yield one.name, one.scores
    means = {whose: mean_scores(scored, whose) for whose in _MASKS}
    if scored:
        yield "mean", {whose: mean for whose, mean in means.items() if mean is not None}


def _score_cells(score: MaskScore | None) -> list[str]:
    """Precision, recall and F1; dashes where there is no such mask."""
    if score is None:
        return ["-"] * 3
    return [f"{value:.3f}" for value in (score.precision, score.recall, score.f1)]


def _panels(one: Comparison) -> Iterator[str]:
    for image, caption in _views(one):
        yield picture(image, caption, width=_WIDTH)


def _views(one: Comparison) -> Iterator[tuple[Image, str]]:
    """Pictures of a row, (h, w, 3) BGR, at most `_WIDTH` across, each with its caption."""
    small = shrink(one.image, _WIDTH)
    scale = small.shape[1] / one.image.shape[1]
    yield draw_quads(small, [(one.boxes, _TRUE_BGR)], scale), one.name
    largest = float(one.heat.max())
    heat = (255 * one.heat.clip(0) / max(largest, 1e-9)).astype(np.uint8)
    coloured = np.asarray(cv2.applyColorMap(heat, cv2.COLORMAP_TURBO), np.uint8)
    yield shrink(coloured, _WIDTH), f"H, from 0 (blue) to {largest:.2f} (red)"
    for whose, mask in one.masks.items():
        grey = np.where(mask, 255, 0).astype(np.uint8)
        caption = f"mask: {whose}"
        if whose in one.scores:
            score = one.scores[whose]
            caption += f": precision {score.precision:.2f}, recall {score.recall:.2f}"
        caption += f", {mask.mean():.1%} of the picture"
        yield to_bgr(shrink(grey, _WIDTH)), caption


def _strip(one: Comparison) -> Image:
    """The views of a row side by side."""
    return np.hstack([image for image, _ in _views(one)])


def _paper(report: RunReport) -> tuple[float, ...] | None:
    """The paper's accuracies, overall last, where they are of this recipe."""
    if report.config is None or report.config.recipe.name != TABLE_2_RECIPE:
        return None
    return (*TABLE_2_PERCENT, TABLE_2_OVERALL_PERCENT)


def _seed_values(seeds: Mapping[str, Any], index: int) -> tuple[float, float]:
    """Mean and standard deviation over seeds of a class's accuracy; of the overall one last."""
    means = [*seeds["per_class_mean"], seeds["mean"]]
    spreads = [*seeds["per_class_std"], seeds["std"]]
    return float(means[index]), float(spreads[index])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
