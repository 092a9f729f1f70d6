"""The commands of `simtool`, a module each.

In: what was typed. Out: a summary on stdout, and the files that the command is for.
Open `app` first, which lists the commands. A module holds the command's options, one frozen
dataclass where there are many, and what happens with them; it imports nothing heavy until it is
called.
"""
