"""How good a model is on annotated pictures.

In: a model and a data set, or predictions as JSON lines. Out: scores, and thresholds
chosen by them. Open `evaluate` first; `text_metrics`, `object_metrics` and `reading_metrics` define
the scores; `calibrate` searches the operating point, `calibrate_reading` a reader's threshold.
"""
