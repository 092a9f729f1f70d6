"""From a region to its label.

In: a frame and quads. Out: a label and its probability for each.
Open `classify` first; `crops` cuts regions out upright and takes characters apart.
"""
