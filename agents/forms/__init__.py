"""What people type in, a file a subject."""
