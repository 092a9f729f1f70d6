"""Cameras and streams: each opens, reads and closes one device.

In: an address. Out: frames, until reading fails. Nothing here waits, retries or counts.
Open `base` first: what a device has to be; one module a kind; `discovery` lists what is plugged in.
"""
