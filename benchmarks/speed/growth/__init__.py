"""How time and memory grow with pixels, regions and threads: ours beside a peer.

python -m benchmarks.speed.growth [--peers FOLDER]

`points` says what is measured, `point` is the process that measures one, `__main__` takes them in
turns, `report` makes the tables and the plot.
"""
