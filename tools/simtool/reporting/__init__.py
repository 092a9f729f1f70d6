"""Pages and tables for people.

In: runs, ablations, evaluations. Out: HTML pages, drawings, text for the terminal.
Open `run_report` first; `html` is what all pages share.
"""
