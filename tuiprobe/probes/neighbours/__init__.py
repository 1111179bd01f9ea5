"""Accuracy by nearest neighbours, for encoders without a head of their own."""
