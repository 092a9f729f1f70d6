"""`simrun bench`: what a frame costs on this machine, stage by stage, kept with its circumstances.

`settings` says what can be asked for, `measure` takes the samples, `figures` sums them up,
`record` is the JSON, `compare` sets two records side by side, `report` is for people, `command`
is the whole.
"""
