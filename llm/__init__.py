"""The gateway: one request in, the right provider's answer out, one usage record written."""
