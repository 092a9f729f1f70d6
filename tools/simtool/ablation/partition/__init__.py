"""A network in two at a layer: what comes before, and what each filter's block passes through.

In: a module, the layer's name, an example. Out: a `Cut`: maps once, logits for each blocked filter.
Open `choose` first; `graph` cuts a traced network, `channelwise` continues by difference where what
follows is linear for each channel.
"""
