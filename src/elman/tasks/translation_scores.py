"""The scores of what an encoder-decoder writes by itself, as they are taken during a training."""

from __future__ import annotations

from collections.abc import Sequence

from elman.data.tokenizers import Tokenizer
from elman.decode.translate import Beam, Translator
from elman.metrics.translation import score
from elman.models import EncoderDecoder


def greedy_scores(
    model: EncoderDecoder,
    texts: Sequence[tuple[str, str]],
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
) -> dict[str, float]:
    """Exact matches and, with sacrebleu, BLEU and chrF of greedy translations of pairs of texts."""
    translator = Translator(model, source_tokenizer, target_tokenizer, Beam(width=1), batch_size=128)
    sources, references = zip(*texts, strict=True)
    written = [translation.text for translation in translator(sources)]
    return {name: value for name, value in score(written, references).items() if isinstance(value, float)}
