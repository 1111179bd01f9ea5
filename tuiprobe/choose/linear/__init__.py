"""A head fitted to the labels of a run: how good it is, and what more labels would bring."""
