"""The commands of `simtool`.

A command's options are in the module of its name, which imports nothing heavy until it is called.
What `train`, `ablate` and `export` do is in the modules beside it, `train_run`, `ablate_...` and
`export_run`: they choose among several ways. The other commands call the package above at once.
"""
