"""The folder that a training leaves behind, and the recipes by name.

In: a recipe and a seed. Out: weights, configuration and history, read back and verified.
Open `folder` first: it lists the files of a run. `checkpoint` has weights and optimizer state in
one file, of runs and of bundles; `recipes` says which network learns what, and how.
"""
