"""What can be wrong with a machine, looked at and said.

In: this computer. Out: findings for `simrun check`, circumstances for `simrun bench`.
Open `check` first; `machine` reads board, memory and heat; `libraries` tries imports in a process
of their own.
"""
