"""From a region to its label.

In: a frame and quads. Out: a label and its probability for each.
Two ways. A `reader` reads lines: `strips` cuts them out, `ctc` makes text of logits, `language`
and `pattern` say which texts those may be, `memory` keeps what did not change from being read
again. `classify` names things and single characters: `crops` cuts regions out upright and takes
characters apart.
"""
