"""The forty object classes in byte order of their names, and the parts they are made of."""

from tuiprobe.miniature.animals import ANIMALS
from tuiprobe.miniature.shapes import ObjectClass
from tuiprobe.miniature.things import THINGS
from tuiprobe.miniature.vehicles import VEHICLES

OBJECTS: tuple[ObjectClass, ...] = tuple(
    sorted(VEHICLES + ANIMALS + THINGS, key=lambda item: item.name.encode())
)
CLASS_NAMES: tuple[str, ...] = tuple(item.name for item in OBJECTS)
PART_NAMES: tuple[str, ...] = tuple(
    sorted({part.name for item in OBJECTS for part in item.parts}, key=str.encode)
)
