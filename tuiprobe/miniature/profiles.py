"""How the sets differ: how each draws its scenes, and its number of images."""

from dataclasses import dataclass

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
