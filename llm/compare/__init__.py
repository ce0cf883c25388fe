"""One prompt, or a list of them, to several models or plans side by side."""
