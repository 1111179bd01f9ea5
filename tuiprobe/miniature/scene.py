"""What an image shows, decided before anything is drawn: a `Scene` sampled for a set and index.

A `Profile` says how a set draws its scenes, and how many images it has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tuiprobe.miniature.objects import OBJECTS
from tuiprobe.miniature.palette import COLOR_NAMES, MATERIALS, SCENES, TEXTURES, Draws

PHOTO = (("photo", 1.0),)
RENDITIONS = (
    ("cartoon", 1.0),
    ("inverted", 1.0),
    ("painting", 1.0),
    ("pixels", 1.0),
    ("silhouette", 1.0),
)
WEB = (
    ("photo", 0.76),
    ("cartoon", 0.06),
    ("inverted", 0.02),
    ("painting", 0.04),
    ("pixels", 0.03),
    ("silhouette", 0.04),
    ("sketch", 0.05),
)


@dataclass(frozen=True)
class Profile:
    """How a set draws its scenes.

    Attributes:
        images: Number of images.
        labelled: Whether classes come in blocks of equal size; else the class is drawn too.
        canonical: Chance that colour and scene are the usual ones of the class.
        size: Range of the half size of the object, in half image widths.
        angle: Largest tilt in degrees; `turned` is the chance of any other angle.
        squeeze: Range of foreshortening and shear.
        clutter: Chance of a first, second, third side object.
        occlusion: Chance of a first, second bar in front.
        styles: Styles with their weights.
        blur: Chance of a blurred image.
        noise: Range of the pixel noise, in grey levels.
        tone: Range of contrast and brightness.
        mixture: Sets with their weights; each image is drawn as one of them draws. Of the fields
            above, only `images` and `labelled` then count.
    """

    images: int
    labelled: bool = True
    canonical: float = 0.9
    size: tuple[float, float] = (0.6, 0.85)
    angle: float = 10.0
    turned: float = 0.0
    squeeze: float = 0.12
    clutter: tuple[float, ...] = (0.15,)
    occlusion: tuple[float, ...] = ()
    styles: tuple[tuple[str, float], ...] = PHOTO
    blur: float = 0.08
    noise: tuple[float, float] = (2.0, 9.0)
    tone: float = 0.12
    mixture: tuple[tuple[str, float], ...] = ()


STREET = (("v2", 0.4), ("objectnet", 0.2), ("r", 0.2), ("a", 0.1), ("sketch", 0.1))
"""What the target set is mixed of: mostly photographs, some renditions."""


PROFILES: dict[str, Profile] = {
    "val": Profile(4000),
    "v2": Profile(
        2000,
        canonical=0.65,
        size=(0.42, 0.8),
        angle=18,
        squeeze=0.2,
        clutter=(0.3, 0.3),
        occlusion=(0.15,),
        blur=0.2,
        noise=(3, 15),
        tone=0.25,
    ),
    "sketch": Profile(2000, styles=(("sketch", 1.0),), clutter=(), blur=0.0, angle=12),
    "r": Profile(2000, canonical=0.5, styles=RENDITIONS, clutter=(0.1,), angle=14),
    "a": Profile(
        2000,
        canonical=0.0,
        size=(0.4, 0.6),
        angle=20,
        squeeze=0.2,
        clutter=(0.8, 0.5, 0.3),
        occlusion=(0.4, 0.2),
        blur=0.15,
        noise=(3, 14),
        tone=0.3,
    ),
    "objectnet": Profile(
        2000,
        canonical=0.2,
        size=(0.5, 0.8),
        turned=0.55,
        angle=35,
        squeeze=0.32,
        clutter=(0.25,),
        occlusion=(0.1,),
        tone=0.2,
    ),
    "concepts": Profile(
        4000,
        canonical=0.0,
        size=(0.55, 0.85),
        angle=20,
        squeeze=0.2,
        clutter=(0.2,),
        tone=0.2,
    ),
    "web": Profile(
        80000,
        labelled=False,
        canonical=0.5,
        size=(0.45, 0.85),
        angle=18,
        turned=0.08,
        squeeze=0.2,
        clutter=(0.25, 0.2),
        occlusion=(0.05,),
        styles=WEB,
        blur=0.08,
        noise=(1, 10),
        tone=0.2,
    ),
    "street": Profile(500, labelled=False, mixture=STREET),
    "train": Profile(20000),
}
SHIFTS: tuple[str, ...] = ("v2", "r", "sketch", "a", "objectnet")


ACCENTS: dict[str, tuple[str, ...]] = {
    name: tuple(other for other in COLOR_NAMES if other != name) for name in COLOR_NAMES
}


@dataclass(frozen=True)
class SceneFigure:
    """One object: class number, paint and pose (positions and sizes in half image widths)."""

    label: int
    color: str
    accent: str
    texture: str
    second: str
    material: str
    x: float
    y: float
    size: float
    angle: float
    flip: bool
    aspect: float
    shear: float
    warp: tuple[float, float, float, float]
    period: float
    slant: float


@dataclass(frozen=True)
class Bar:
    """A plain rectangle in front of everything, centre and half sizes in half image widths."""

    color: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Scene:
    """Everything an image shows; `figures[0]` is what it is labelled with."""

    figures: tuple[SceneFigure, ...]
    scene: str
    style: str
    bars: tuple[Bar, ...]
    edges: float
    light: tuple[float, float]
    shadow: float
    blur: bool
    noise: float
    contrast: float
    brightness: float


def sample_scene(draws: Draws, profile: Profile, label: int | None) -> Scene:
    """Draws a scene; `label` None draws the class too."""
    if label is None:
        label = draws.below(len(OBJECTS))
    usual = draws.chance(profile.canonical)
    kind = OBJECTS[label]
    color = draws.weighted(kind.colors, (0.6, 0.25, 0.15)) if usual else draws.pick(COLOR_NAMES)
    scene = draws.weighted(kind.scenes, (0.7, 0.3)) if usual else draws.pick(SCENES)
    styles, weights = zip(*profile.styles, strict=True)
    reach = 1 - profile.size[0]
    main = _figure(draws, profile, label, color, usual, draws.uniform(*profile.size), reach)
    extras = tuple(_extra(draws, profile) for _ in range(_count(draws, profile.clutter)))
    return Scene(
        figures=(main, *extras),
        scene=scene,
        style=draws.weighted(styles, weights),
        bars=tuple(_bar(draws, main) for _ in range(_count(draws, profile.occlusion))),
        edges=draws.uniform(0.1, 0.45),
        light=(draws.uniform(-0.22, 0.22), draws.uniform(-0.25, 0.1)),
        shadow=draws.uniform(0, 0.45),
        blur=draws.chance(profile.blur),
        noise=draws.uniform(*profile.noise),
        contrast=draws.uniform(1 - profile.tone, 1 + 0.5 * profile.tone),
        brightness=draws.uniform(-90, 90) * profile.tone,
    )


def _count(draws: Draws, chances: tuple[float, ...]) -> int:
    """Draws the number of extras: the i-th one appears with chance i if all earlier ones do."""
    number = 0
    for chance in chances:
        if not draws.chance(chance):
            break
        number += 1
    return number


def _figure(
    draws: Draws,
    profile: Profile,
    label: int,
    color: str,
    usual: bool,
    size: float,
    reach: float,
) -> SceneFigure:
    turned = draws.chance(profile.turned)
    angle = draws.uniform(40, 320) if turned else draws.uniform(-profile.angle, profile.angle)
    room = min(reach, 1.05 - size)
    plain = draws.chance(0.75 if usual else 0.35)
    squeeze = profile.squeeze
    return SceneFigure(
        label=label,
        color=color,
        accent=draws.pick(ACCENTS[color]),
        texture="solid" if plain else draws.pick(TEXTURES),
        second=draws.pick(ACCENTS[color]),
        material=draws.pick(MATERIALS),
        x=draws.uniform(-room, room),
        y=draws.uniform(-room, room),
        size=size,
        angle=angle,
        flip=draws.chance(0.5),
        aspect=draws.uniform(1 - squeeze, 1 + 0.4 * squeeze),
        shear=draws.uniform(-squeeze, squeeze),
        warp=(
            draws.uniform(-0.12, 0.12),
            draws.uniform(-0.12, 0.12),
            draws.uniform(-0.12, 0.12),
            draws.uniform(-0.12, 0.12),
        ),
        period=draws.uniform(0.28, 0.55),
        slant=draws.uniform(0, 180),
    )


def _extra(draws: Draws, profile: Profile) -> SceneFigure:
    label = draws.below(len(OBJECTS))
    color = draws.pick(COLOR_NAMES)
    figure = _figure(draws, profile, label, color, False, draws.uniform(0.14, 0.26), 1.0)
    # Moved to a corner, so that it never hides the main object.
    x = (0.82 - 0.3 * draws.uniform()) * (1 if draws.chance(0.5) else -1)
    y = (0.82 - 0.15 * draws.uniform()) * (1 if draws.chance(0.6) else -1)
    return replace(figure, x=x, y=y)


def _bar(draws: Draws, main: SceneFigure) -> Bar:
    upright = draws.chance(0.5)
    thin, long = draws.uniform(0.07, 0.16), draws.pick((0.2, 0.3, 2.0))
    return Bar(
        color=draws.pick(COLOR_NAMES),
        x=main.x + draws.uniform(-0.6, 0.6) * main.size,
        y=main.y + draws.uniform(-0.6, 0.6) * main.size,
        width=thin if upright else long,
        height=long if upright else thin,
    )
