import numpy as np

from tuiprobe.miniature import world
from tuiprobe.miniature.captions import CONTEXT, JUNK, TEMPLATES, WRONG, WordTokenizer
from tuiprobe.miniature.objects import OBJECTS

NUMBERS = range(0, 80000, 40)
CAPTIONS = [world.caption("web", i) for i in NUMBERS]


def test_most_captions_name_what_is_shown_and_some_do_not() -> None:
    named = []
    for i, text in zip(NUMBERS, CAPTIONS, strict=True):
        kind = OBJECTS[world.label("web", i)]
        named.append(any(word in text for word in (kind.name, *kind.synonyms)))
    noise = 1 - np.mean(named)
    spread = 5 * np.sqrt(0.08 * 0.92 / len(CAPTIONS))
    assert abs(noise - (JUNK + (1 - JUNK) * WRONG)) < spread + 0.01


def test_every_word_is_in_the_vocabulary() -> None:
    tokenizer = WordTokenizer()
    prompts = [t.format(item.name) for t in TEMPLATES for item in OBJECTS]
    for text in [*CAPTIONS, *prompts]:
        tokens = tokenizer.encode(text)
        assert 1 not in tokens
        assert len(tokens) == CONTEXT
        assert tokens.count(tokenizer.end) == 1


def test_unknown_words_and_long_texts_still_end() -> None:
    tokenizer = WordTokenizer()
    tokens = tokenizer(["xylophone " * 40, "A Cat."])
    assert tokens.shape == (2, CONTEXT)
    assert tokens[0, -1] == tokenizer.end
    assert tokens[1].tolist() == tokenizer.encode("a cat")
    assert int(tokens.max()) == tokenizer.vocab_size - 1
