"""Captions and prompts, with synonyms and the noise of the web, and a tokenizer for them."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuiprobe.miniature.objects import OBJECTS
from tuiprobe.miniature.palette import COLOR_NAMES, MATERIALS, SCENES, TEXTURES, Draws
from tuiprobe.miniature.scene import Scene, SceneFigure

if TYPE_CHECKING:
    import torch

TEMPLATES: tuple[str, ...] = (
    "a photo of a {}",
    "a picture of a {}",
    "a {}",
    "a sketch of a {}",
    "a drawing of a {}",
    "a cartoon {}",
    "a painting of a {}",
    "a photo of a small {}",
)
_SCENE_WORDS: dict[str, tuple[str, ...]] = {
    "brick": ("in front of a brick wall", "by a wall", "on bricks"),
    "grass": ("on the grass", "in a meadow", "on a lawn"),
    "night": ("at night", "under the stars", "in the dark"),
    "planks": ("on wooden planks", "on a wooden floor", "on wood"),
    "room": ("in a room", "indoors", "at home"),
    "sand": ("on the sand", "on a beach", "in the desert"),
    "sky": ("in the sky", "among clouds", "on a sunny day"),
    "studio": ("in a studio", "on a plain background", "isolated"),
    "water": ("in the water", "at sea", "on the waves"),
}
_STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "cartoon": ("cartoon", "comic", "clipart"),
    "inverted": ("negative", "inverted picture"),
    "painting": ("painting", "oil painting", "artwork"),
    "photo": ("photo", "picture", "image", "snapshot"),
    "pixels": ("pixel art", "8bit sprite"),
    "silhouette": ("silhouette", "shadow shape", "stencil"),
    "sketch": ("sketch", "drawing", "line art", "pencil drawing"),
}
_COLOR_WORDS: dict[str, tuple[str, ...]] = {
    "black": ("black", "dark"),
    "gray": ("gray", "grey", "silver"),
    "purple": ("purple", "violet"),
    "red": ("red", "crimson"),
    "white": ("white", "pale"),
    "yellow": ("yellow", "golden"),
}
_TEXTURE_WORDS: dict[str, tuple[str, ...]] = {
    "checkered": ("checkered", "chequered"),
    "dotted": ("dotted", "spotted", "polka dot"),
    "grid": ("plaid", "grid patterned"),
    "striped": ("striped", "stripy"),
    "zigzag": ("zigzag", "wavy"),
}
_MATERIAL_WORDS: dict[str, tuple[str, ...]] = {
    "fabric": ("fabric", "knitted"),
    "metal": ("metal", "shiny"),
    "plastic": ("plastic", "glossy"),
    "stone": ("stone", "rough"),
    "wood": ("wooden", "carved"),
}
_JUNK = (
    "click here to enlarge",
    "free shipping on all orders",
    "image not available",
    "untitled",
    "new arrival best price",
    "page 2 of the gallery",
    "copyright all rights reserved",
    "download wallpaper hd",
)
_TAILS = ("stock photo", "for sale", "hd wallpaper", "free download", "high quality", "buy now")
_SHAPES = (
    "a {style} of a {thing}",
    "a {style} of a {thing} {scene}",
    "a {thing} {scene}",
    "{thing}",
    "{style} of the {thing}",
    "my {thing}",
    "a {thing} and a {other}",
    "a {thing} next to a {other}",
    "{scene} a {thing}",
    "{thing} {style} {tail}",
)
WRONG, JUNK = 0.04, 0.04

CONTEXT = 16
_PAD, _UNKNOWN, _START = 0, 1, 2
_FIRST = 3


def _noun(label: int, draws: Draws) -> str:
    kind = OBJECTS[label]
    return kind.name if draws.chance(0.75) else draws.pick(kind.synonyms)


def _thing(figure: SceneFigure, draws: Draws) -> str:
    words = []
    if draws.chance(0.2):
        words.append("small" if figure.size < 0.5 else "big")
    if draws.chance(0.4):
        words.append(draws.pick(_COLOR_WORDS.get(figure.color, (figure.color,))))
    if figure.texture != "solid" and draws.chance(0.4):
        words.append(draws.pick(_TEXTURE_WORDS[figure.texture]))
    if draws.chance(0.15):
        words.append(draws.pick(_MATERIAL_WORDS[figure.material]))
    return " ".join([*words, _noun(figure.label, draws)])


def caption(scene: Scene, draws: Draws) -> str:
    """Returns a sentence about a scene; occasionally a wrong or empty one."""
    if draws.chance(JUNK):
        return draws.pick(_JUNK)
    main = scene.figures[0]
    thing = _thing(main, draws)
    if draws.chance(WRONG):
        thing = _noun(draws.below(len(OBJECTS)), draws)
    seen = len(scene.figures) > 1
    shape = draws.pick(_SHAPES)
    if "{other}" in shape and not seen:
        shape = _SHAPES[3]
    return shape.format(
        thing=thing,
        style=draws.pick(_STYLE_WORDS[scene.style]),
        scene=draws.pick(_SCENE_WORDS[scene.scene]),
        other=_noun(scene.figures[1].label, draws) if seen else "",
        tail=draws.pick(_TAILS),
    )


def vocabulary() -> tuple[str, ...]:
    """Returns every word of captions, class names and templates, in byte order."""
    texts = [*TEMPLATES, *_SHAPES, *_JUNK, *_TAILS, "small", "big"]
    texts += [name for item in OBJECTS for name in (item.name, *item.synonyms)]
    texts += [*COLOR_NAMES, *TEXTURES, *MATERIALS, *SCENES]
    tables = (_SCENE_WORDS, _STYLE_WORDS, _COLOR_WORDS, _TEXTURE_WORDS, _MATERIAL_WORDS)
    texts += [phrase for table in tables for phrases in table.values() for phrase in phrases]
    words = {word for text in texts for word in text.split() if "{" not in word}
    return tuple(sorted(words, key=str.encode))


class WordTokenizer:
    """Converts texts over a closed vocabulary to token ids.

    The end token has the highest id, as open_clip's pooling requires.

    >>> tokenizer = WordTokenizer()
    >>> tokenizer(["a cat"]).shape
    torch.Size([1, 16])
    """

    context_length = CONTEXT

    def __init__(self) -> None:
        self.words = vocabulary()
        self._number = {word: _FIRST + i for i, word in enumerate(self.words)}
        self.end = _FIRST + len(self.words)
        self.vocab_size = self.end + 1

    @property
    def digest(self) -> str:
        """SHA-256 of the word list, which the model cards store."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Returns the token numbers of a text, cut and padded to `CONTEXT`."""
        words = [self._number.get(word.strip(".,!?"), _UNKNOWN) for word in text.lower().split()]
        tokens = [_START, *words[: CONTEXT - 2], self.end]
        return tokens + [_PAD] * (CONTEXT - len(tokens))

    def __call__(self, texts: str | Sequence[str]) -> "torch.Tensor":
        """Returns int64 tokens `[texts, 16]`."""
        import torch

        batch = [texts] if isinstance(texts, str) else texts
        return torch.tensor([self.encode(text) for text in batch], dtype=torch.long)
