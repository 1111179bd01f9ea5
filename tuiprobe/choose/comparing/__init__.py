"""Reports compared: the decision, differences, gates, correlation."""
