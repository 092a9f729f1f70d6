"""What an ablation costs, beside other implementations."""
