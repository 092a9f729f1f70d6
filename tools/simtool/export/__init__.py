"""From an ablated network to a bundle.

In: a run folder or a bundle with its checkpoint. Out: `localizer.onnx`, `classifier.onnx`,
`model.json`, compared with the network they come from.
Open `pipeline` first: it is the order of the stages. `localizer` weighs, transforms and scales;
`heatmap_graph` is where weights become a convolution, `geometry` finds stride and receptive field;
`bundle_graphs` makes ONNX of it, which `optimize` has made cheaper; `int8` and `formats` make other
files of it.
"""
