"""How well models find and read, alone and beside others."""
