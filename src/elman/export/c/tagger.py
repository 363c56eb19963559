"""A tagger without a CRF, which reads in one direction, as C: a word in, the scores of its tags out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman.errors import UserError
from elman.export.c.encoder import encoder_stack
from elman.export.c.interface import Interface
from elman.export.c.language_model import layers_in_words
from elman.export.c.layers import step_function
from elman.export.c.source import CSource
from elman.models.tagger import Tagger
from elman.models.word_reader import WordReader


def write(source: CSource, model: Tagger, codecs: Mapping[str, Any]) -> Interface:
    """Add the functions of the model to a program. Raises `UserError` where tags need the whole sentence."""
    if model.crf_layer is not None:
        what = "this tagger has a CRF, whose search needs the whole sentence: a step in C gives scores word by word"
        raise UserError(what, remedy="train one with --set crf=false, or export --to onnx")
    reader, K = model.reader, len(model.tags)
    body = [f"float x[{reader.output_size}] = {{0}};"]
    body.append(source.add_row("x", source.table("word_vectors", reader.words.weight), "word"))
    spelled = reader.character_size > 0
    if spelled:
        _spell(source, reader)
        body.append(f"spell(characters, length, x + {reader.words.embedding_dim});")
    layers = encoder_stack(source, model.encoder)
    source.fields += layers.fields
    read = layers.read("x", "state->")
    body += [*read.lines, *source.linear("output", model.output_layer, read.output, "scores")]
    characters = ", const int *characters, int length" if spelled else ""
    head = f"void PREFIX_step(PREFIX_state *state, int word{characters}, float scores[PREFIX_TAGS])"
    source.function(head, body)
    meaning = (
        f"Read a word, from 0 to PREFIX_WORDS - 1 (0: a word that is not in the vocabulary){_OF_CHARACTERS * spelled}"
    )
    call = "PREFIX_step(&state, word, characters, length, scores);" if spelled else "PREFIX_step(&state, word, scores);"
    sizes = {"WORDS": model.word_vocab_size, "TAGS": K}
    return Interface(
        summary=f"A tagger of {K} tags: {layers_in_words(model.encoder)}.",
        functions={head: f"{meaning}: softmax(scores) is the distribution of its tag."},
        usage=f"float scores[PREFIX_TAGS];\n{call}    for each word",
        constants=sizes | ({"CHARACTERS": model.character_vocab_size} if spelled else {}),
        names=model.tags,
        main=(
            f"int word; {'int length, characters[4096]; ' * spelled}float scores[PREFIX_TAGS]; GET(word); "
            f"{'GET(length); GET_SOME(characters, length); ' * spelled}{call} PUT(scores);",
        ),
    )


_OF_CHARACTERS = ", and its characters, from 0 to PREFIX_CHARACTERS - 1"


def _spell(source: CSource, reader: WordReader) -> None:
    """The function that reads the characters of a word in both directions: vector = the last h of each."""
    table = source.table("character_vectors", reader.characters.weight)
    E, H = reader.characters.embedding_dim, reader.character_size // 2
    body = [f"float c[{2 * H}] = {{0}};  /* vector is zeros, and is h */", "for (int t = 0; t < length; t++) {"]
    for direction, (name, at) in enumerate((("forward", "t"), ("backward", "length - 1 - t"))):
        made = step_function(source, f"spelling_{name}", reader.spelling, direction)
        states = ["vector", "c"] if direction == 0 else [f"vector + {H}", f"c + {H}"]
        body += [f"    float {name}[{E}] = {{0}};", "    " + source.add_row(name, table, f"characters[{at}]")]
        body.append("    " + made.call(name, states))
    source.function(
        "static void spell(const int *characters, int length, float *vector)", [*body, "}"], "What characters spell."
    )
