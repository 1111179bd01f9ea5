"""How many pictures a model may answer without anyone looking at them."""
