"""Things that carry: eight classes drawn from named parts."""

from tuiprobe.miniature.shapes import ObjectClass, Part, line, oval, poly, rect, ring


def _wheel(x: float, y: float, r: float) -> tuple[Part, Part]:
    return oval("wheel", "k", x, y, r, r), oval("hub", "w", x, y, r * 0.45, r * 0.45)


VEHICLES = (
    ObjectClass(
        "airplane",
        ("plane", "jet", "aircraft"),
        ("white", "gray", "red"),
        ("sky", "studio"),
        (
            poly("wing", "s", -0.05, -0.05, 0.3, -0.08, -0.1, -0.62, -0.28, -0.6),
            poly("tail", "a", -0.92, -0.05, -0.62, -0.1, -0.78, -0.5, -0.98, -0.5),
            oval("body", "m", 0.0, 0.0, 0.95, 0.17),
            oval("window", "g", 0.66, -0.06, 0.13, 0.07),
            *(rect("window", "g", x, -0.09, x + 0.09, -0.0) for x in (-0.45, -0.22, 0.01, 0.24)),
            poly("wing", "a", -0.1, 0.05, 0.28, 0.05, -0.25, 0.6, -0.45, 0.6),
            oval("engine", "k", 0.02, 0.3, 0.15, 0.07),
        ),
    ),
    ObjectClass(
        "bicycle",
        ("bike", "cycle"),
        ("black", "red", "blue"),
        ("room", "brick"),
        (
            ring("wheel", "k", -0.55, 0.3, 0.38, 0.09),
            ring("wheel", "k", 0.55, 0.3, 0.38, 0.09),
            line("frame", "m", 0.1, -0.55, 0.3, -0.2, -0.25, 0.4, -0.25, 0.0, 0.3),
            line("frame", "m", 0.1, -0.55, 0.3, 0.0, 0.3, -0.28, -0.42),
            line("frame", "m", 0.1, 0.55, 0.3, 0.35, -0.48),
            line("seat", "a", 0.12, -0.42, -0.44, -0.12, -0.44),
            line("handle", "a", 0.1, 0.2, -0.5, 0.38, -0.5, 0.52, -0.38),
            oval("pedal", "w", 0.0, 0.3, 0.1, 0.1),
        ),
    ),
    ObjectClass(
        "bus",
        ("coach", "omnibus"),
        ("yellow", "green", "red"),
        ("studio", "sky"),
        (
            rect("body", "m", -0.92, -0.48, 0.92, 0.38),
            rect("roof", "a", -0.88, -0.56, 0.88, -0.44),
            *(rect("window", "g", x, -0.36, x + 0.25, -0.02) for x in (-0.84, -0.52, -0.2, 0.12)),
            rect("door", "s", 0.5, -0.34, 0.7, 0.36),
            rect("window", "g", 0.75, -0.36, 0.92, 0.0),
            *_wheel(-0.52, 0.4, 0.2),
            *_wheel(0.42, 0.4, 0.2),
            oval("light", "w", 0.86, 0.22, 0.07, 0.07),
        ),
    ),
    ObjectClass(
        "car",
        ("automobile", "auto", "sedan"),
        ("red", "blue", "gray"),
        ("brick", "studio"),
        (
            poly("roof", "m", -0.5, -0.05, -0.3, -0.45, 0.25, -0.45, 0.52, -0.05),
            poly("window", "g", -0.38, -0.07, -0.24, -0.36, -0.03, -0.36, -0.03, -0.07),
            poly("window", "g", 0.04, -0.07, 0.04, -0.36, 0.2, -0.36, 0.38, -0.07),
            poly("body", "m", -0.92, 0.32, -0.9, 0.0, -0.55, -0.08, 0.55, -0.08, 0.9, 0.05, 0.94, 0.32),
            rect("bumper", "s", -0.95, 0.22, 0.96, 0.34),
            *_wheel(-0.52, 0.33, 0.22),
            *_wheel(0.52, 0.33, 0.22),
            oval("light", "w", 0.86, 0.1, 0.07, 0.06),
        ),
    ),
    ObjectClass(
        "rocket",
        ("spaceship", "missile"),
        ("white", "red", "gray"),
        ("night", "sky"),
        (
            poly("flame", "a", -0.2, 0.6, 0.2, 0.6, 0.1, 0.8, 0.0, 1.0, -0.1, 0.8),
            poly("fin", "s", -0.26, 0.1, -0.6, 0.65, -0.22, 0.58),
            poly("fin", "s", 0.26, 0.1, 0.6, 0.65, 0.22, 0.58),
            poly(
                "body", "m", 0.0, -0.98, 0.17, -0.7, 0.28, -0.3, 0.28, 0.3, 0.2, 0.66,
                -0.2, 0.66, -0.28, 0.3, -0.28, -0.3, -0.17, -0.7,
            ),
            poly("nose", "a", 0.0, -0.98, 0.17, -0.7, 0.2, -0.6, -0.2, -0.6, -0.17, -0.7),
            oval("window", "g", 0.0, -0.25, 0.15, 0.15),
        ),
    ),
    ObjectClass(
        "sailboat",
        ("boat", "yacht", "ship"),
        ("white", "brown", "red"),
        ("water", "sky"),
        (
            line("mast", "k", 0.07, 0.02, 0.5, 0.02, -0.98),
            poly("sail", "m", 0.08, -0.92, 0.75, 0.28, 0.08, 0.28),
            poly("sail", "a", -0.05, -0.75, -0.05, 0.28, -0.6, 0.28),
            poly("hull", "s", -0.9, 0.4, 0.92, 0.4, 0.6, 0.82, -0.58, 0.82),
        ),
    ),
    ObjectClass(
        "train",
        ("locomotive", "railway engine"),
        ("black", "green", "red"),
        ("planks", "studio"),
        (
            rect("cab", "m", -0.88, -0.62, -0.3, 0.3),
            rect("roof", "a", -0.96, -0.74, -0.22, -0.6),
            rect("window", "g", -0.74, -0.48, -0.44, -0.14),
            rect("body", "m", -0.35, -0.22, 0.75, 0.3),
            oval("nose", "s", 0.75, 0.04, 0.13, 0.26),
            poly("chimney", "k", 0.36, -0.2, 0.3, -0.62, 0.62, -0.62, 0.56, -0.2),
            rect("bumper", "a", -0.9, 0.26, 0.86, 0.38),
            *_wheel(-0.62, 0.44, 0.24),
            *_wheel(-0.02, 0.5, 0.18),
            *_wheel(0.42, 0.5, 0.18),
        ),
    ),
    ObjectClass(
        "truck",
        ("lorry", "pickup"),
        ("blue", "orange", "white"),
        ("planks", "studio"),
        (
            rect("box", "m", -0.36, -0.62, 0.95, 0.3),
            poly("cab", "a", -0.92, 0.3, -0.92, -0.05, -0.78, -0.36, -0.4, -0.36, -0.4, 0.3),
            poly("window", "g", -0.82, -0.04, -0.72, -0.27, -0.5, -0.27, -0.5, -0.04),
            rect("bumper", "k", -0.96, 0.24, 0.95, 0.36),
            *_wheel(-0.62, 0.4, 0.21),
            *_wheel(0.3, 0.4, 0.21),
            *_wheel(0.72, 0.4, 0.21),
        ),
    ),
)
