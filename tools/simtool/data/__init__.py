"""Data sets: what a classifier is trained on and where it comes from."""
