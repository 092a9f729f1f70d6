"""The main loop of a run.

In: a source, a localizer, sinks. Out: every frame's result handed on, and a summary.
Open `loop` first; `signals` ends it between two frames.
"""
