"""Pages and tables for people.

In: a run folder with its ablation, an evaluation, pictures.
Out: self-contained HTML pages, their drawings as PNG, REPORT.md, text for the terminal.
Open `run_page` or `eval_page` first: each gathers what `templates/` puts into words.
"""
