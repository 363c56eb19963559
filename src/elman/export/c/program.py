"""A model as the two files of a C program."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from elman import __version__
from elman.errors import UserError
from elman.export.c.interface import Interface
from elman.export.c.source import CSource, comment, declared, identifier

WRITERS: dict[str, str] = {  # by the name of the model's class; each `write(source, model, codecs) -> Interface`
    "RecurrentLM": "language_model",
    "Tagger": "tagger",
    "Classifier": "classifier",
    "SeriesForecaster": "forecaster",
    **dict.fromkeys(("LayeredLanguageModel", "LayeredTagger", "LayeredClassifier"), "layered"),
}
REFUSED = {
    "TransformerLM": "a Transformer's memory grows with every step: C is for recurrent models",
    "TransformerEncoderDecoder": "an encoder-decoder attends to a whole source: C is for models that take steps",
    "RecurrentEncoderDecoder": "an encoder-decoder reads a whole source first: C is for models that take steps",
    "LayeredForecaster": "an imported forecaster has no form in C",
}
OPTIMIZE = ("-O3",)  # what the header recommends


class CProgram(NamedTuple):
    """The text of both files, and what is in them."""

    name: str  # of both files, without their endings
    prefix: str
    header: str
    source: str
    calls: tuple[str, ...]  # `Init.call`, then `Interface.main`
    bytes_of_weights: int


def program(model: Any, path: PurePath, *, int8: bool = False, codecs: Mapping[str, Any] | None = None) -> CProgram:
    """A model as C, for the files `path`.h and `path`.c; `codecs` are those of its run.

    Raises:
        UserError: the model does not read step by step in one direction, or has weights that are not finite.
    """
    kind = type(model).__name__
    if kind in REFUSED:
        raise UserError(REFUSED[kind], remedy="export --to onnx")
    if kind not in WRITERS:
        raise UserError(f"C has no form of a {kind}", remedy="export --to safetensors")
    prefix = identifier(path)
    source = CSource(prefix, int8=int8)
    writer = importlib.import_module(f"elman.export.c.{WRITERS[kind]}")
    made: Interface = writer.write(source, model, codecs or {})
    texts = (_header(made, source, path), _source(made, source, path), made.init.call, *made.main)
    header, text, *calls = (_with_prefix(each, prefix) for each in texts)
    return CProgram(path.name, prefix, header, text, tuple(calls), source.bytes_of_weights)


def _with_prefix(text: str, prefix: str) -> str:
    """Macros have the prefix in capitals, as `PREFIX_TOKENS`; all else as it is."""
    return re.sub(r"\bPREFIX_(?=[A-Z])", f"{prefix.upper()}_", text).replace("PREFIX_", f"{prefix}_")


def _header(made: Interface, source: CSource, path: PurePath) -> str:
    kind = "int8, with a scale for each row" if source.int8 else "float"
    name = path.name
    size = f"{source.bytes_of_weights:,} bytes of weights ({kind})"
    arguments = "".join(f", {declared(argument)}" for argument in made.init.arguments)
    begin = f"PREFIX_init(&state{arguments});    at the beginning of a sequence"
    usage = "\n".join(["PREFIX_state state;", begin, made.usage])
    intro = comment(
        [
            f"{name}.h and {name}.c, written by elman {__version__}. {made.summary} {size}.",
            "\n".join(f"    {line}" for line in usage.splitlines()),
            f"The functions keep nothing between two calls but what is in the state, which may be copied, and allocate "
            f"no memory. Compile {name}.c with -std=c99 {' '.join(OPTIMIZE)}, and with -march=native on the machine "
            "where it runs, or with -Os where memory is short; link with -lm. Leave -ffast-math out: it takes away NaN "
            "and infinity.",
        ]
    )
    guard = "PREFIX_H"
    lines = [intro, f"#ifndef {guard}\n#define {guard}\n", '#ifdef __cplusplus\nextern "C" {\n#endif\n']
    lines += [f"#define PREFIX_{name} {value}" for name, value in made.constants.items()]
    lines += ["\ntypedef struct {", *(f"    {field};" for field in source.fields), "} PREFIX_state;\n"]
    every = {_head_of_init(made): made.init.words, **made.functions}
    lines += [f"{comment([words])}{head};\n" for head, words in every.items()]
    if made.names:
        lines.append(f"/* The names of the outputs. */\nextern const char *const PREFIX_names[{len(made.names)}];\n")
    return "\n".join([*lines, "#ifdef __cplusplus\n}\n#endif\n", "#endif\n"])


def _source(made: Interface, source: CSource, path: PurePath) -> str:
    first = declared(source.fields[0])
    zeros = f"*state = (PREFIX_state){{.{first} = {{0}}}};  /* and zeros in every other field */"
    source.function(_head_of_init(made), [zeros, *made.init.lines])
    names = ""
    if made.names:
        literals = "\n".join(f"    {_literal(name)}," for name in made.names)
        names = f"const char *const PREFIX_names[{len(made.names)}] = {{\n{literals}\n}};\n\n"
    return f'#include "{path.name}.h"\n\n#include <math.h>\n\n{names}{source.text()}'


def _head_of_init(made: Interface) -> str:
    return f"void PREFIX_init({', '.join(['PREFIX_state *state', *made.init.arguments])})"


def _literal(text: str) -> str:
    """A string of C, whose bytes beyond ASCII are octal.

    >>> _literal('a"?é')
    '"a\\\\042\\\\077\\\\303\\\\251"'
    """
    plain = range(0x20, 0x7F)
    return '"' + "".join(chr(b) if b in plain and chr(b) not in '"?\\' else f"\\{b:03o}" for b in text.encode()) + '"'
