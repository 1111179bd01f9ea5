"""One file a command: options to a call, results to text."""
