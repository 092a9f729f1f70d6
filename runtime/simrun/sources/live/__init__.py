"""A device that nobody looks after, kept going.

In: a `Device` that may fail at any time. Out: always the latest frame, and counts of what was lost.
Open `reconnect` first: where a camera is opened again; `capture` is one opening of it, in a thread;
`frozen` notices a picture that hangs.
"""
