"""Runs the command line as `python -m tuiprobe.miniature.train`."""

from tuiprobe.miniature.train.command import main

if __name__ == "__main__":
    main()
