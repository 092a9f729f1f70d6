"""What a call costs on a 64-bit Raspberry Pi, in instructions, counted under emulation."""
