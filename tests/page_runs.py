"""A small run of each task, for the page that shows them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import elman
from elman.runs import Run

WORDS = ["the cat sat on a mat.", "the dog ran to the cat.", "a dog and a cat sat.", "on the mat ran a dog."]
TEXT = "\n".join(WORDS * 12)
SENTENCES = [line.removesuffix(".").split() for line in WORDS]
TAGS = {"the": "DET", "a": "DET", "cat": "NOUN", "dog": "NOUN", "mat": "NOUN", "sat": "VERB", "ran": "VERB"}
WAVES = [[round(10 + 3 * math.sin(step / (2 + n)), 3) for step in range(60)] for n in range(3)]
NOUNS, VERBS = ["the cat", "the dog", "a cat", "a dog", "a mat"], ["sat", "ran", "is", "was"]
TEXTS = [f"{noun} {verb} {place}" for noun in NOUNS for verb in VERBS for place in ("here", "there", "on the mat")]
SHAPES = [[[round(math.sin(step / (1 + n % 3) + n), 3)] for step in range(20)] for n in range(45)]
PAIRS = [(text, text.upper()) for text in TEXTS]
SMALL: dict[str, Any] = {"hidden_size": 12, "progress": False}


def train_all(place: Path) -> dict[str, Run]:
    """A run of each name in a folder of this name."""
    tags = [[TAGS.get(word, "OTHER") for word in words] for words in SENTENCES]
    text: dict[str, Any] = {"tokenizer": "char", "budget": "20 steps", "lanes": 4, "k1": 8, **SMALL}
    tagger: dict[str, Any] = {"min_count": 1, "embedding_size": 6, "character_size": 4, "num_layers": 1}
    labels = ["cat" if "cat" in text else "none" for text in TEXTS]
    label: dict[str, Any] = {"task": "classification", "num_layers": 1, "bidirectional": False}
    few: dict[str, Any] = {"budget": "10 steps", **SMALL}
    return {
        "letters": elman.fit(TEXT, out=place / "letters", model="lstm", num_layers=2, learning_rate=0.02, **text),
        "heads": elman.fit(TEXT, out=place / "heads", model="transformer", num_layers=2, num_heads=2, **text),
        "tags": elman.fit(SENTENCES * 3, tags * 3, out=place / "tags", task="tagging", **tagger, **few),
        "labels": elman.fit(
            TEXTS, labels, out=place / "labels", pooling="attention", embedding_size=6, tokenizer="word", **label, **few
        ),
        "shapes": elman.fit(
            SHAPES, ["fast", "middle", "slow"] * 15, out=place / "shapes", model="gru", **label, **few,
        ),
        "waves": elman.fit(WAVES, out=place / "waves", task="forecasting", horizon=6, window=12, season=6, **few),
        "pairs": elman.fit(PAIRS, out=place / "pairs", task="translation", model="gru", validation_sentences=0, **few),
    }  # fmt: skip
