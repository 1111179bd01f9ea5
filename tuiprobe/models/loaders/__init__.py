"""Loaders: one file per library or kind of file; each makes an `Encoder` of a name."""
