"""A record for people: tables of at most 80 columns, and a Markdown row for each kind of run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simrun.bench.compare import COMPARED, Record, RecordComparison, kind_of
from simrun.result import STAGES

_FIGURES: Final = ("p50", "p95", "p99", "mean", "jitter")

MARKDOWN_COLUMNS: Final = (
    *("machine", "model", "frame", "side", "threads", "mode", "p50 ms", "p95", "p99", "jitter"),
    *("CPU ms", "frames/s", "missed", "peak MiB", "°C", "throttling", "load", "ONNX Runtime"),
    "date",
)


def to_table(record: Record) -> str:
    """Everything but the samples, as text."""
    lines = [*_heading(record)]
    for result in record["results"]:
        lines += ["", *_stages(result)]
    if len(record["results"]) > 1:
        lines += ["", *_summary(record), *_speedups(record)]
    lines += [
        "",
        f"Stages are wall time; jitter: {record['jitter']}.",
        "CPU: process time from preprocessing to labels, all threads. missed: share of",
        "the periods that ended without the result that was due in them. "
        f"Warm-up: {record['warmup']}",
        "frames, not counted.",
    ]
    return "\n".join(lines)


def to_markdown(record: Record) -> str:
    """A table with a row for each kind of run."""
    rows = ["| " + " | ".join(MARKDOWN_COLUMNS) + " |", "|---" * len(MARKDOWN_COLUMNS) + "|"]
    rows += ["| " + " | ".join(_cells(record, result)) + " |" for result in record["results"]]
    return "\n".join(rows)


def to_ratios(comparison: RecordComparison, name: str) -> str:
    """A comparison as text."""
    lines = [f"This run over {name}: ratio of medians (95 % interval), below 1 is faster"]
    for kind, ratios in comparison.ratios.items():
        lines.append(kind.describe())
        for stage in COMPARED:
            if stage in ratios:
                one = ratios[stage]
                lines.append(f"  {stage:11}{one.value:6.3f}  ({one.low:.3f} to {one.high:.3f})")
    lines += [f"not in {name}: {kind.describe()}" for kind in comparison.only_here]
    lines += [f"only in {name}: {kind.describe()}" for kind in comparison.only_there]
    lines += [f"differs: {difference}" for difference in comparison.differences]
    lines += [
        "The interval is a bootstrap over the frames of each run: what the machine did",
        "differently between the two runs is not in it.",
    ]
    return "\n".join(lines)


def _describe_machine(machine: Record) -> str:
    """The computer in a line."""
    cores = "1 core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    parts = [machine["board"], machine["cpu"], cores, machine["architecture"]]
    return ", ".join(part for part in parts if part)


def _describe_state(state: Record) -> str:
    """The state of the computer in a line; what it does not say is left out."""
    parts = [
        _if_known(state["temperature_c"], "{:.1f} °C"),
        _if_known(state["clock_mhz"], "{} MHz"),
        _if_known(state["governor"], "governor {}"),
        _describe_throttling(state),
        f"load {state['load']:.2f}",
    ]
    return ", ".join(part for part in parts if part)


def _describe_throttling(state: Record) -> str:
    """What holds the computer back."""
    if state["throttled"] is None:
        return "throttling not told"
    return "; ".join(state["throttling"]) or "not throttled"


def _heading(record: Record) -> Iterator[str]:
    model, source, memory = record["model"], record["source"], record["memory"]
    reads = "finds and reads" if model["classify"] else "finds only"
    yield f"model    {model['name']} ({model['sha256'][:12]}), {reads}"
    yield f"source   {source['name']}, {source['width']}x{source['height']}"
    yield f"machine  {_describe_machine(record['machine'])}"
    for when in ("before", "after"):
        yield f"{when:8} {_describe_state(record['state'][when])}"
    session, versions = record["session"], record["versions"]
    yield f"session  {session['provider']} of ONNX Runtime {versions['onnxruntime']}"
    many = memory["configurations_in_process"]
    whose = "" if many == 1 else f", all {many} configurations in one process"
    yield f"memory   {_if_known(memory['peak_mib'], '{:.1f} MiB', 'not told')} at the peak{whose}"


def _stages(result: Record) -> Iterator[str]:
    rate = (
        f"{result['frames_per_s']:.1f} frames/s"
        if result["missed"] is None
        else f"{result['missed']:.1%} missed"
    )
    yield f"{kind_of(result).describe()}: {result['frames']} frames, {rate}"
    yield "  ms         " + "".join(f"{name:>9}" for name in _FIGURES)
    rows = {stage: result["stages_ms"][stage] for stage in STAGES} | {"CPU": result["cpu_ms"]}
    for name, figures in rows.items():
        yield f"  {name:11}" + "".join(f"{figures[figure]:9.2f}" for figure in _FIGURES)


def _summary(record: Record) -> Iterator[str]:
    yield "side threads      mode     p50     p95     p99     CPU frames/s  missed"
    for result in record["results"]:
        total, paced = result["stages_ms"]["total"], result["paced_fps"]
        mode = "-" if paced is None else f"{paced:g}/s"
        rate = "-" if result["frames_per_s"] is None else f"{result['frames_per_s']:.1f}"
        missed = "-" if result["missed"] is None else f"{result['missed']:.1%}"
        yield (
            f"{result['side']:4} {result['threads']:7} {mode:>9} {total['p50']:7.2f} "
            f"{total['p95']:7.2f} {total['p99']:7.2f} {result['cpu_ms']['p50']:7.2f} "
            f"{rate:>8} {missed:>7}"
        )


def _speedups(record: Record) -> Iterator[str]:
    """What more threads gain over the fewest, at the same side and pace."""
    fewest: dict[tuple[int, float | None], Record] = {}
    for result in sorted(record["results"], key=lambda one: int(one["threads"])):
        base = fewest.setdefault((result["side"], result["paced_fps"]), result)
        if result is not base:
            faster = base["stages_ms"]["total"]["p50"] / result["stages_ms"]["total"]["p50"]
            dearer = result["cpu_ms"]["p50"] / base["cpu_ms"]["p50"]
            yield (
                f"{kind_of(result).describe()}: {faster:.2f} times as fast as "
                f"{base['threads']}, {dearer:.2f} times the CPU"
            )


def _cells(record: Record, result: Record) -> list[str]:
    total, source, state = result["stages_ms"]["total"], record["source"], record["state"]
    return [
        _describe_machine(record["machine"]),
        f"{record['model']['name']} {record['model']['sha256'][:8]}",
        f"{source['width']}x{source['height']}",
        str(result["side"]),
        str(result["threads"]),
        "back to back" if result["paced_fps"] is None else f"paced {result['paced_fps']:g}/s",
        *(f"{total[figure]:.1f}" for figure in ("p50", "p95", "p99", "jitter")),
        f"{result['cpu_ms']['p50']:.1f}",
        _if_known(result["frames_per_s"], "{:.1f}", "-"),
        _if_known(result["missed"], "{:.1%}", "-"),
        _if_known(record["memory"]["peak_mib"], "{:.0f}", "-"),
        " to ".join(_if_known(state[w]["temperature_c"], "{:.0f}", "-") for w in state),
        _describe_throttling(state["after"]),
        f"{state['before']['load']:.1f}",
        record["versions"]["onnxruntime"],
        record["date"][:10],
    ]


def _if_known(value: float | str | None, form: str, otherwise: str = "") -> str:
    return otherwise if value is None else form.format(value)
