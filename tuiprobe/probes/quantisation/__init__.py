"""What rounding to 8 bits costs the activations of each tap."""

from tuiprobe.probes.protocol import Need

TITLE = "INT8 quantisation"
NEEDS: tuple[Need, ...] = ()
