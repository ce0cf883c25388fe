"""What templates need of the meter."""
