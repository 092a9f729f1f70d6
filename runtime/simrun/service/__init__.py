"""`simrun` as a service of systemd.

In: the options of a run. Out: a unit in systemd's folder; datagrams to systemd while it runs.
Open `install` first; `unit` is the unit's text, `notify` what a running service tells.
"""
