"""Training, by a recipe: the same seed gives the same weights, resumed or not.

In: a recipe, data, a seed. Out: a run folder with weights, history and configuration.
Open `loop` first, the one loop: it takes steps down the losses of a task. `labelled` (images with
a class, or a class a position) and `text` (windows of scenes) are the tasks; `objects` composes
scenes of a folder of pictures for `labelled`. `accuracy` counts what a network gets right.
"""
