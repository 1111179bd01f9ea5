"""What accuracy loses without channels or directions."""
