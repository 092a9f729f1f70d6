"""What a frame costs: time, instructions, memory."""
