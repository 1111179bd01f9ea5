"""Files that torch wrote, read without running what their pickles say."""
