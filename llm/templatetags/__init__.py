"""What templates of this room say in their own way."""
