"""What the benchmarks share: `benchmark` runs one, `record` writes it, `markers` shows it.

`console` has help and one-line errors, `readme_table` makes the README's table of models.
"""
