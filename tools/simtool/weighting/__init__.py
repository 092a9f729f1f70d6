"""w_i out of e_i, by name.

In: an ablation record. Out: the weight of each filter in H, for one map or one a class.
Open `weigh` first; `methods` lists the weightings, each in a module of its own.
"""
