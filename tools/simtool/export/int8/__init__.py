"""A localizer in 8 bits.

In: a bundle and pictures of the kind that its camera will see. Out: a bundle that costs less, and a
comparison of both. Open `export` first.
"""
