"""The ablation of LeNet shared by one and by two processes of one thread each, in turn.

python -m benchmarks.speed.ablation.processes      # writes processes.json; needs SIMTOOL_DATA

Started by torchrun, as it starts itself, it is one of the processes and prints the seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.harness.console import one_line_errors
from simtool.ablation.job import Job, ablate_job
from simtool.ablation.measure import AblationOptions, Provenance
from simtool.ablation.partition.choose import cut_halves
from simtool.data import load_split
from simtool.data.tensors import to_tensors
from simtool.distributed import joined
from simtool.runs.checkpoint import read_checkpoint

HERE: Final = Path(__file__).resolve()
ROOT: Final = HERE.parents[2]
IMAGES: Final = 30000
ROUNDS: Final = 3


def work() -> None:
    """One process' share; the leading one prints."""
    torch.set_num_threads(1)
    net: Any = read_checkpoint(ROOT / "models" / "mnist-lenet").build()
    data = load_split("mnist", "train", None).subset(slice(0, IMAGES))
    example = to_tensors(data, np.arange(2))[0]
    with torch.inference_mode():
        cut = cut_halves(net.trunk, net.head, net.spec.layer, example)
    provenance = Provenance(net.spec.layer, "train", "", "", net.spec.classes)
    job = Job(cut, lambda i: to_tensors(data, i), IMAGES, provenance, AblationOptions())
    with joined() as peers:
        peers.wait()
        started = time.perf_counter()
        used = time.process_time()
        record = ablate_job(job, peers)
        peers.wait()
        seconds = time.perf_counter() - started
        cpu = time.process_time() - used
        errors = record.criterion("error").ablated
        if peers.leads:
            print(json.dumps({"seconds": seconds, "cpu_s": cpu, "errors": errors}))


def measure(processes: int) -> dict[str, Any]:
    """One run of that many processes."""
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}")
    program = ("-m", "benchmarks.speed.ablation.processes")
    done = subprocess.run(
        [sys.executable, *launcher, *program],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Alternate, and write the record."""
    samples: dict[str, list[dict[str, Any]]] = {"1": [], "2": []}
    for _ in range(ROUNDS):
        for processes, runs in samples.items():
            runs.append(measure(int(processes)))
    same = all(run["errors"] == samples["1"][0]["errors"] for s in samples.values() for run in s)
    record = {
        "images": IMAGES,
        "load": os.getloadavg(),
        "seconds": {n: [run["seconds"] for run in runs] for n, runs in samples.items()},
        "cpu_s_of_the_leading_process": {
            n: [run["cpu_s"] for run in runs] for n, runs in samples.items()
        },
        "error_counts_the_same": same,
    }
    HERE.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    with one_line_errors("processes"):
        if "RANK" in os.environ:
            work()
        else:
            main()
