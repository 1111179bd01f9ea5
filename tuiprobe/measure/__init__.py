"""The engine: shards, extraction, resume, merge, ranks. Writes run directories."""
