"""Hostile and damaged inputs, and a process of its own to try them in."""
