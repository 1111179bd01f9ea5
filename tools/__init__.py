"""What only builders of tuiprobe need: no part of the wheel."""
