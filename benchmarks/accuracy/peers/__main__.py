"""`python -m benchmarks.accuracy.peers`: one thread, before numpy's libraries are loaded."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from benchmarks.accuracy.peers.peers import BENCHMARK  # noqa: E402

BENCHMARK.main()
