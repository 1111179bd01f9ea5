"""What several probes compute with."""
