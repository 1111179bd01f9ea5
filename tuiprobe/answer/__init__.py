"""A run directory to answers: every probe is asked, from files alone."""
