"""From an ablated network to a bundle.

In: a run folder or a bundle with its checkpoint. Out: `localizer.onnx`, `classifier.onnx`,
`model.json`, compared with the network they come from.
Open `pipeline` first; `heatmap_graph` is where weights become a convolution, `geometry` finds
stride and receptive field, `optimize` makes the graph cheaper, `int8` and `formats` make other
files of it.
"""
