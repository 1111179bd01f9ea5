"""The engine: shards, extraction, resume, merge, ranks. It writes run directories."""
