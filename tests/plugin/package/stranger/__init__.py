"""What a stranger adds to tuiprobe: a source of images, a loader of encoders and a probe."""
