"""The ablation of LeNet shared by one and by two processes of one thread each, in turn.

python -m benchmarks.speed.ablation.processes      # writes processes.json; needs SIMTOOL_DATA

Started by torchrun, as it starts itself, it is one of the processes and prints the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any, Final

import torch

from benchmarks.harness.benchmark import PACKAGES, ROOT, Benchmark, heading, in_turns, table
from benchmarks.harness.console import one_line_errors
from benchmarks.harness.record import Record, Samples, spread
from simtool.ablation.job import ablate_target
from simtool.ablation.measure import AblationOptions, Provenance
from simtool.ablation.target import Target
from simtool.data import load_split
from simtool.data.tensors import to_tensors
from simtool.distributed import joined
from simtool.runs.checkpoint import read_checkpoint

IMAGES: Final = 30000
ROUNDS: Final = 3


def work() -> None:
    """One process' share; the leading one prints."""
    torch.set_num_threads(1)
    net: Any = read_checkpoint(ROOT / "models" / "mnist-lenet").build()
    data = load_split("mnist", "train", None).subset(slice(0, IMAGES))
    provenance = Provenance(net.spec.layer, "train", "", "", net.spec.classes)
    target = Target(net, lambda i: to_tensors(data, i), IMAGES, provenance)
    with joined() as peers:
        peers.wait()
        started = time.perf_counter()
        used = time.process_time()
        record = ablate_target(target, AblationOptions(), peers)
        peers.wait()
        seconds = time.perf_counter() - started
        cpu = time.process_time() - used
        errors = record.criterion("error").ablated
        if peers.leads:
            print(json.dumps({"seconds": seconds, "cpu_s": cpu, "errors": errors}))


def start(processes: int) -> dict[str, Any]:
    """One run of that many processes."""
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}")
    program = ("-m", "benchmarks.speed.ablation.processes")
    command = [sys.executable, *launcher, *program]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One and two processes in turns."""
    runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for _, order in in_turns(list(runs), range(ROUNDS)):
        for processes in order:
            runs[processes].append(start(processes))
    counts = [run["errors"] for some in runs.values() for run in some]
    return {
        "images": IMAGES,
        "processes": {
            str(number): {
                "seconds": Samples(run["seconds"] for run in some),
                "cpu_s_of_the_leading_process": Samples(run["cpu_s"] for run in some),
            }
            for number, some in runs.items()
        },
        "error_counts_the_same": all(one == counts[0] for one in counts),
    }


def to_markdown(record: Record) -> str:
    """A row a number of processes."""
    same = "the same" if record["error_counts_the_same"] else "not the same"
    rows = [
        [number, spread(one["seconds"]), spread(one["cpu_s_of_the_leading_process"])]
        for number, one in record["processes"].items()
    ]
    note = f"LeNet, {record['images']} images with the deletion curve; error counts are {same}"
    heads = ["processes of one thread", "seconds", "processor seconds of the leading one"]
    return f"{heading(record, note)}\n\n{table(heads, rows)}"


BENCHMARK: Final = Benchmark(
    measure, to_markdown, markers="ablation-processes", versions=(*PACKAGES, "torch")
)

if __name__ == "__main__":
    if "RANK" in os.environ:
        with one_line_errors("processes"):
            work()
    else:
        BENCHMARK.main()
