"""Plants, buildings and household things: twenty classes drawn from named parts."""

from tuiprobe.miniature.shapes import ObjectClass, line, oval, poly, rect, ring, star

THINGS = (
    ObjectClass(
        "balloon", ("party balloon",), ("red", "blue", "pink"), ("sky", "room"),
        (
            line("string", "k", 0.05, 0.0, 0.45, 0.1, 0.65, -0.06, 0.8, 0.02, 0.98),
            oval("bulb", "m", 0.0, -0.3, 0.52, 0.62),
            poly("knot", "s", 0.0, 0.28, 0.12, 0.46, -0.12, 0.46),
            oval("highlight", "w", -0.2, -0.52, 0.09, 0.15, 25),
        ),
    ),
    ObjectClass(
        "bottle", ("flask", "wine bottle"), ("green", "brown", "white"), ("planks", "studio"),
        (
            poly(
                "body", "m", -0.13, -0.5, -0.13, -0.4, -0.34, -0.1, -0.34, 0.92, 0.34, 0.92,
                0.34, -0.1, 0.13, -0.4, 0.13, -0.5,
            ),
            rect("neck", "m", -0.13, -0.84, 0.13, -0.42),
            rect("cap", "a", -0.17, -0.98, 0.17, -0.8),
            rect("label", "w", -0.34, 0.16, 0.34, 0.6),
        ),
    ),
    ObjectClass(
        "chair", ("seat", "stool"), ("brown", "blue", "white"), ("room", "planks"),
        (
            rect("leg", "s", -0.34, 0.2, -0.22, 0.95),
            rect("leg", "s", 0.52, 0.2, 0.64, 0.95),
            rect("back", "m", -0.56, -0.95, -0.42, 0.2),
            rect("back", "m", -0.06, -0.95, 0.08, 0.2),
            rect("back", "m", -0.56, -0.95, 0.08, -0.72),
            rect("back", "m", -0.56, -0.5, 0.08, -0.32),
            poly("cushion", "a", -0.6, 0.06, 0.62, 0.06, 0.66, 0.26, -0.6, 0.26),
            rect("leg", "m", -0.58, 0.24, -0.45, 0.95),
            rect("leg", "m", 0.28, 0.24, 0.4, 0.95),
        ),
    ),
    ObjectClass(
        "clock", ("alarm clock", "timepiece"), ("red", "green", "white"), ("room", "brick"),
        (
            oval("bell", "a", -0.45, -0.62, 0.27, 0.22, -38),
            oval("bell", "a", 0.45, -0.62, 0.27, 0.22, 38),
            line("leg", "s", 0.13, -0.4, 0.55, -0.62, 0.95),
            line("leg", "s", 0.13, 0.4, 0.55, 0.62, 0.95),
            oval("body", "m", 0.0, 0.1, 0.74, 0.72),
            oval("face", "w", 0.0, 0.1, 0.54, 0.53),
            line("hand", "k", 0.09, 0.0, 0.1, 0.0, -0.32),
            line("hand", "k", 0.1, 0.0, 0.1, 0.3, 0.24),
        ),
    ),
    ObjectClass(
        "crown", ("tiara", "diadem"), ("yellow", "white", "purple"), ("studio", "room"),
        (
            poly(
                "body", "m", -0.8, 0.6, -0.9, -0.5, -0.45, 0.0, 0.0, -0.72, 0.45, 0.0, 0.9, -0.5,
                0.8, 0.6,
            ),
            rect("band", "s", -0.82, 0.42, 0.82, 0.68),
            oval("jewel", "a", -0.9, -0.5, 0.1, 0.1),
            oval("jewel", "a", 0.0, -0.74, 0.11, 0.11),
            oval("jewel", "a", 0.9, -0.5, 0.1, 0.1),
            oval("jewel", "a", -0.42, 0.54, 0.1, 0.08),
            oval("jewel", "a", 0.42, 0.54, 0.1, 0.08),
        ),
    ),
    ObjectClass(
        "flower", ("daisy", "blossom"), ("pink", "yellow", "purple"), ("grass", "room"),
        (
            line("stem", "v", 0.1, 0.0, 0.0, 0.04, 0.5, 0.0, 0.98),
            oval("leaf", "v", 0.26, 0.62, 0.28, 0.11, -28),
            oval("leaf", "v", -0.26, 0.72, 0.28, 0.11, 28),
            oval("petal", "m", 0.0, -0.68, 0.2, 0.24),
            oval("petal", "m", 0.36, -0.46, 0.22, 0.22),
            oval("petal", "m", 0.25, -0.05, 0.22, 0.22),
            oval("petal", "m", -0.25, -0.05, 0.22, 0.22),
            oval("petal", "m", -0.36, -0.46, 0.22, 0.22),
            oval("center", "a", 0.0, -0.32, 0.2, 0.2),
        ),
    ),
    ObjectClass(
        "guitar", ("ukulele", "string instrument"), ("brown", "red", "black"), ("room", "planks"),
        (
            rect("neck", "s", -0.09, -0.8, 0.09, 0.1),
            poly("head", "a", -0.16, -0.98, 0.16, -0.98, 0.11, -0.72, -0.11, -0.72),
            oval("body", "m", 0.0, 0.12, 0.34, 0.28),
            oval("body", "m", 0.0, 0.56, 0.46, 0.4),
            oval("hole", "k", 0.0, 0.28, 0.15, 0.14),
            rect("bridge", "k", -0.2, 0.62, 0.2, 0.72),
        ),
    ),
    ObjectClass(
        "hammer", ("mallet",), ("gray", "brown", "red"), ("planks", "brick"),
        (
            rect("handle", "a", -0.1, -0.45, 0.1, 0.98),
            poly("head", "m", -0.62, -0.82, 0.3, -0.82, 0.3, -0.42, -0.62, -0.42),
            poly("claw", "s", 0.3, -0.82, 0.55, -0.76, 0.8, -0.38, 0.5, -0.52, 0.3, -0.48),
            rect("face", "s", -0.72, -0.88, -0.56, -0.36),
        ),
    ),
    ObjectClass(
        "hat", ("top hat", "cap"), ("black", "brown", "blue"), ("studio", "room"),
        (
            oval("brim", "m", 0.0, 0.48, 0.95, 0.22),
            poly("dome", "m", -0.5, 0.46, -0.56, -0.6, 0.56, -0.6, 0.5, 0.46),
            oval("top", "s", 0.0, -0.6, 0.56, 0.13),
            poly("ribbon", "a", -0.5, 0.44, -0.53, 0.14, 0.53, 0.14, 0.5, 0.44),
        ),
    ),
    ObjectClass(
        "heart", ("valentine",), ("red", "pink", "purple"), ("studio", "room"),
        (
            poly(
                "body", "m", 0.0, 0.9, -0.6, 0.35, -0.88, -0.05, -0.9, -0.4, -0.7, -0.7,
                -0.4, -0.76, -0.15, -0.64, 0.0, -0.4, 0.15, -0.64, 0.4, -0.76, 0.7, -0.7,
                0.9, -0.4, 0.88, -0.05, 0.6, 0.35,
            ),
            oval("highlight", "w", -0.5, -0.36, 0.12, 0.17, 30),
        ),
    ),
    ObjectClass(
        "house", ("cottage", "building", "home"), ("white", "yellow", "red"), ("grass", "studio"),
        (
            rect("chimney", "s", 0.36, -0.86, 0.58, -0.3),
            rect("wall", "m", -0.68, -0.12, 0.68, 0.84),
            poly("roof", "a", -0.9, -0.08, 0.0, -0.88, 0.9, -0.08),
            rect("door", "k", -0.16, 0.3, 0.14, 0.84),
            rect("window", "g", -0.54, 0.08, -0.26, 0.36),
            rect("window", "g", 0.26, 0.08, 0.54, 0.36),
        ),
    ),
    ObjectClass(
        "key", ("latchkey",), ("yellow", "gray", "brown"), ("planks", "studio"),
        (
            ring("bow", "m", -0.58, 0.0, 0.27, 0.18),
            rect("shaft", "m", -0.26, -0.09, 0.96, 0.09),
            rect("tooth", "s", 0.56, 0.05, 0.68, 0.36),
            rect("tooth", "s", 0.8, 0.05, 0.94, 0.42),
        ),
    ),
    ObjectClass(
        "lamp", ("desk lamp", "light"), ("yellow", "white", "green"), ("room", "night"),
        (
            rect("stem", "s", -0.06, -0.05, 0.06, 0.8),
            oval("base", "a", 0.0, 0.84, 0.42, 0.13),
            poly("shade", "m", -0.36, -0.9, 0.36, -0.9, 0.68, 0.02, -0.68, 0.02),
        ),
    ),
    ObjectClass(
        "mug", ("cup", "coffee cup"), ("white", "blue", "red"), ("planks", "room"),
        (
            ring("handle", "s", 0.45, 0.05, 0.35, 0.16, -90, 90),
            poly("body", "m", -0.72, -0.6, 0.5, -0.6, 0.44, 0.74, -0.66, 0.74),
            oval("rim", "s", -0.11, -0.6, 0.61, 0.15),
            oval("coffee", "k", -0.11, -0.59, 0.48, 0.09),
        ),
    ),
    ObjectClass(
        "mushroom", ("toadstool", "fungus"), ("red", "brown", "white"), ("grass", "planks"),
        (
            poly("stem", "w", -0.2, 0.05, 0.2, 0.05, 0.28, 0.88, -0.28, 0.88),
            oval("cap", "m", 0.0, 0.14, 0.84, 0.86, 0, 180, 360),
            rect("gill", "s", -0.62, 0.08, 0.62, 0.2),
        ),
    ),
    ObjectClass(
        "star", ("pentagram",), ("yellow", "red", "white"), ("night", "studio"),
        (star("body", "m", 0.0, 0.05, 0.98, 0.42),),
    ),
    ObjectClass(
        "sword", ("blade", "dagger"), ("gray", "white", "blue"), ("brick", "studio"),
        (
            poly("blade", "m", 0.0, -0.99, 0.13, -0.78, 0.13, 0.42, -0.13, 0.42, -0.13, -0.78),
            rect("hilt", "a", -0.45, 0.38, 0.45, 0.54),
            rect("handle", "k", -0.09, 0.52, 0.09, 0.84),
            oval("pommel", "a", 0.0, 0.88, 0.13, 0.11),
        ),
    ),
    ObjectClass(
        "table", ("desk", "workbench"), ("brown", "white", "black"), ("room", "brick"),
        (
            rect("leg", "s", -0.66, -0.2, -0.54, 0.5),
            rect("leg", "s", 0.6, -0.2, 0.72, 0.5),
            poly("top", "m", -0.76, -0.48, 0.8, -0.48, 0.96, -0.16, -0.94, -0.16),
            rect("edge", "s", -0.94, -0.18, 0.96, -0.04),
            rect("leg", "m", -0.88, -0.06, -0.74, 0.78),
            rect("leg", "m", 0.76, -0.06, 0.9, 0.78),
        ),
    ),
    ObjectClass(
        "tree", ("oak", "pine"), ("green", "orange", "pink"), ("grass", "sky"),
        (
            poly("stem", "b", -0.13, 0.2, 0.13, 0.2, 0.2, 0.96, -0.2, 0.96),
            oval("crown", "m", -0.38, -0.05, 0.42, 0.36),
            oval("crown", "m", 0.38, -0.05, 0.42, 0.36),
            oval("crown", "m", 0.0, -0.5, 0.5, 0.44),
        ),
    ),
    ObjectClass(
        "umbrella", ("parasol", "brolly"), ("purple", "red", "blue"), ("sand", "studio"),
        (
            line("shaft", "k", 0.08, 0.0, -0.8, 0.0, 0.7, 0.08, 0.86, 0.2, 0.88, 0.28, 0.74),
            oval("canopy", "m", 0.0, 0.05, 0.95, 0.85, 0, 180, 360),
            poly("panel", "a", -0.3, 0.06, 0.0, -0.8, 0.3, 0.06),
            line("tip", "k", 0.08, 0.0, -0.8, 0.0, -0.98),
        ),
    ),
)
