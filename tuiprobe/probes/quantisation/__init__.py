"""What rounding to 8 bits costs the activations of each tap."""
