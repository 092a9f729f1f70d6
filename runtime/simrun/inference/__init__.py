"""ONNX Runtime, set up for a small computer.

In: a graph's bytes and options. Out: arrays, and what really ran where.
Open `session` first; `providers` is the table behind `--provider`, `threads` behind `--threads`.
"""
