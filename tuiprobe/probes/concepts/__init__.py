"""Unique concepts that directions encode, beside what random directions encode."""
