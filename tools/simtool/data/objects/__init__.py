"""Scenes composed of somebody's own pictures, a folder a class: no box is drawn by anybody.

In: a folder of pictures, perhaps photos for the background. Out: scenes with a label every four
pixels to train on, annotated canvases to score on; no network. Open `scenes` first. `reading`
checks the folder and `cutout` takes the thing out of its picture; `material` keeps both in the
run; `splits` is the data set named folder, `canvases` what `simtool compose` writes.
"""
