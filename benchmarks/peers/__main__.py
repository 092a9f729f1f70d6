"""`python -m benchmarks.peers`: one thread, settled before numpy's libraries are loaded."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

from benchmarks.peers.peers import main  # noqa: E402

main()
