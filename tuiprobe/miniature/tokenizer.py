"""A word-level tokenizer over the closed vocabulary of the miniature's captions."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuiprobe.miniature.captions import vocabulary

if TYPE_CHECKING:
    import torch

CONTEXT = 16
_PAD, _UNKNOWN, _START = 0, 1, 2
_FIRST = 3


class WordTokenizer:
    """Turns texts into token numbers; the end token is the highest, as open_clip's pooling needs.

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
        """SHA-256 of the word list, kept in the model cards."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Return the token numbers of a text, cut and padded to `CONTEXT`."""
        words = [self._number.get(word.strip(".,!?"), _UNKNOWN) for word in text.lower().split()]
        tokens = [_START, *words[: CONTEXT - 2], self.end]
        return tokens + [_PAD] * (CONTEXT - len(tokens))

    def __call__(self, texts: str | Sequence[str]) -> "torch.Tensor":
        """Return int64 tokens `[texts, 16]`."""
        import torch

        batch = [texts] if isinstance(texts, str) else texts
        return torch.tensor([self.encode(text) for text in batch], dtype=torch.long)
