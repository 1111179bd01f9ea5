"""For people: the command line, the screens, the reports, and the texts that they share."""
