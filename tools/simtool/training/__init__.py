"""Training, by a recipe.

In: a recipe, data, a seed. Out: a run folder; the same seed gives the same weights, resumed or not.
Open `loop` first; `text` and `objects` train on composed scenes.
"""
