"""From a run directory to answers: every probe is asked, from files only."""
