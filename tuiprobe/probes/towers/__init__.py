"""Images and class texts as two sets of points in one space."""
