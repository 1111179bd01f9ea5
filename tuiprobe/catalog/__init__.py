"""Facts about public models that need no model loaded; uses the standard library only."""
