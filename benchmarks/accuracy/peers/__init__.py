"""Text detectors side by side: scores on annotated photos against the CPU time of a call."""
