"""What a run can be told, and where each value comes from.

In: a TOML file, the environment, flags. Out: `Settings`, and the origin of each of its fields.
Open `schema` first: every option with its default; `layers` puts file, environment and flags on
top of each other; `options` makes a command's flags out of a dataclass.
"""
