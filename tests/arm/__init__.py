"""The runtime on an emulated Raspberry Pi."""
