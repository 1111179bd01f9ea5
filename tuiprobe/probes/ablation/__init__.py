"""What accuracy loses without channels or directions."""

from tuiprobe.probes.protocol import Need

TITLE = "Channel ablation"
NEEDS: tuple[Need, ...] = ("head", "labels", "channel")
