"""Who may do what, with which keys, on which plan."""
