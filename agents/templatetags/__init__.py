"""What templates need of agents."""
