"""e_i: what each filter of the last conv layer is worth.

In: a network, a layer, labelled pictures. Out: an ablation record: E, e_i and more, per class.
Open `measure` first: where filters are blocked; `criteria` says what is measured, `accumulate` sums
it, `partition` splits the network at the layer, `record` is the file, `job` a whole run with its
seeds, `target` what can be ablated.
"""
