"""Shows a run on standard error while it happens."""
