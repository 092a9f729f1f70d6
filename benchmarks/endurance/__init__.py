"""What happens to a run over hours and under damage."""
