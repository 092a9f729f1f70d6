"""Every published figure has its script here; RESULTS.md shows the figures by question.

`accuracy`   how well models find and read, `peers` beside other detectors
`speed`      what a frame, a start, an ablation costs; `arm` what a call costs a Raspberry Pi
`endurance`  what becomes of a run over hours, and of damaged input
`harness`    what every script shares: `benchmark.Benchmark` is the first to read. A script gives
             `measure()` and `to_markdown()`; its record in git is quartiles, samples lie beside it
`records`    what `simrun bench` measured on whole machines
"""
