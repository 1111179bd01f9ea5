"""What is known of public models without loading any: standard library only."""
