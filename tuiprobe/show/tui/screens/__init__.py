"""One file a screen; pushed by lazy import, so that the first paint loads one of them."""
