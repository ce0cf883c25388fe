"""What is kept of a workspace, how long, what it takes along, and what is left of it in the end."""
