"""`simrun bench`: what a frame costs on this machine, stage by stage, kept with its circumstances.

`settings` says what can be asked for, `measure` takes the samples, `record` sums them up as JSON,
`compare` sets two records side by side, `report` is for people, `command` is the whole.
"""
