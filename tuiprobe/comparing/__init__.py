"""Reports beside each other: differences, gates, correlation."""
