"""Regions followed through the frames.

In: the regions of each frame. Out: the same with track numbers, held through short gaps.
Open `tracker` first; `association` pairs regions with tracks, `consensus` their labels.
"""
