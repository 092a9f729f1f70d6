"""The same H for less: rewrites of a graph before it is written.

In: a PyTorch module or an ONNX model. Out: one that gives the same answers and costs less.
Open `fold` first; `space_to_depth` rewrites the first layers, `rounding` and `compact` make the
file small.
"""
