"""What a representation looks like inside: probes of channels, directions and concepts."""
