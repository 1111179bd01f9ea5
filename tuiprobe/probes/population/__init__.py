"""Where a model stands among others of its kind."""
