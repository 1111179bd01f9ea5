"""What was checked of encoder and labels before any image was measured."""

from tuiprobe.probes.protocol import Need

TITLE = "Preflight"
NEEDS: tuple[Need, ...] = ()
