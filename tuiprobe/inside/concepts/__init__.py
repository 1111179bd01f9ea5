"""Unique concepts that directions encode, compared with random directions."""
