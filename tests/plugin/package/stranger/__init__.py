"""What a stranger adds to tuiprobe: a source of images and a loader of encoders."""
