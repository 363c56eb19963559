"""The tags of sentences as they arrive: what was given with a column of tags, or JSON lines."""

from __future__ import annotations

import json
import re
import reprlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, dropwhile, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from elman.data.conll import ColumnReader, TokenRows
from elman.data.linefile import InputLine
from elman.data.tagged import Layout
from elman.data.tagged_files import form_of, is_row, parse_object, parse_tokens
from elman.data.textfile import uncompressed
from elman.errors import UserError
from elman.tasks.exchange import PREDICTED, Answer, Inputs, Say, Trained, in_table, table_in
from elman.tasks.tagging.answers import DIGITS, Offsets, placed, placed_rows, record, words_in
from elman.tasks.tagging.inference import Said, WordByWord, tag_sentences
from elman.tasks.tagging.settings import TaggingOptions

Arriving = Iterable[Sequence[InputLine]]
SPACED = re.compile(r"\t.*\S +\S|\S +\S.*\t")  # a tab and a space part the words of a sentence, not columns
SURROGATE = re.compile("[\ud800-\udfff]")


class Sentence(NamedTuple):
    """A sentence that is asked about, or lines that are none."""

    line: int  # from 1
    tokens: Sequence[str]
    text: str
    offsets: Offsets
    written: Callable[[Sequence[str]], bytes]  # what was given, with these tags in it
    error: str = ""
    is_sentence: bool = True


def predict(run: Trained, inputs: Inputs, options: TaggingOptions, say: Say) -> Iterator[Answer]:
    """Tag every sentence; those that arrive together are tagged together.

    Raises:
        UserError: the options do not fit the model or the form of the input.
    """
    if inputs.memory is not None:
        yield from _of_memory(run, inputs.memory, options, say)
        return
    form: str = options.format
    arriving: Arriving = inputs.arriving
    if form == "auto":
        form, arriving = _recognised(run, inputs, wait=not options.stream)
    if options.stream:
        yield from _word_by_word(run, chain.from_iterable(arriving), form, options)
        return
    if options.replace and form == "lines":
        remedy = "leave --replace out, or give --format conll"
        raise UserError("replace", expected="a column of tags", got="a sentence a line", remedy=remedy, exit_code=2)
    yield from _answers(run, _READERS[form](arriving, _layout(run, form), options), options)


def _recognised(run: Trained, inputs: Inputs, *, wait: bool) -> tuple[str, Arriving]:
    """The form of the input, and all of its lines.

    The name and the first row tell the form; else, where the training had columns between spaces, the rows of the first
    sentence are columns if they are equally many; and else there is a sentence a line. Who cannot `wait` for these has
    the first row alone.
    """
    arriving, first, rows = iter(inputs.arriving), list[InputLine](), list[str]()
    form, ended = None, False
    while not ended:
        arrived = next(arriving, None)
        first += arrived or []
        begun = list(dropwhile(lambda line: not is_row(line), (line.text for line in first)))
        rows = [line for line in takewhile(str.strip, begun) if is_row(line)]
        form = form_of(uncompressed(Path(inputs.name)), rows)
        if form == "conll" and run.layout.form in ("parallel", "jsonl") and SPACED.search(rows[0]):
            form = None
        is_whole = len(rows) < len(begun) or run.layout.form != "conll" or not wait
        ended = arrived is None or (bool(rows) and (form is not None or is_whole))
    widths = [len(words_in(row)[0]) for row in rows]
    is_line = len(set(widths)) > 1 or (len(first) == 1 and widths > [1])
    otherwise = "lines" if run.layout.form != "conll" or is_line else "conll"
    return form or otherwise, chain([first], arriving)


def _layout(run: Trained, form: Any) -> Layout:
    return run.layout if run.layout.form == form else Layout(form)


def _answers(run: Trained, together: Iterable[Sequence[Sentence]], options: TaggingOptions) -> Iterator[Answer]:
    steps = WordByWord(run) if options.stream else None
    for sentences in together:
        tokens = [sentence.tokens for sentence in sentences]
        said = map(steps.sentence, tokens) if steps else tag_sentences(run, tokens, options.batch)
        for sentence, found in zip(sentences, said, strict=True):
            yield _answer(run, sentence, found)


def _answer(run: Trained, sentence: Sentence, said: Said) -> Answer:
    line, tokens, text, offsets, written, error, is_sentence = sentence
    if error:
        return Answer(line, None, [], {"line": line, "error": error, "tokens": []}, error, written([]))
    found = record(run, line, tokens, said, text, offsets) if is_sentence else {}
    return Answer(line, said.tags, [" ".join(said.tags)], found, "", written(said.tags))


def _word_by_word(run: Trained, lines: Iterable[InputLine], form: str, options: TaggingOptions) -> Iterator[Answer]:
    """A token a line, which is answered before the next; an empty line ends the sentence."""
    tagger = WordByWord(run)
    if options.format not in ("auto", "conll", "conllu"):
        expected = "--format conll or conllu"
        raise UserError("stream", expected=expected, got=options.format, remedy="give a token a line", exit_code=2)
    reader = ColumnReader(_layout(run, "conllu" if form == "conllu" else "conll"), tagged=options.replace)
    put = reader.replaced if options.replace else reader.added
    for number, line in enumerate(lines, 1):
        before = reader.rows, len(reader.rows.tokens)
        reader.push(line.text, line.error)
        rows = reader.rows
        if rows is not before[0]:
            tagger.end()
        elif len(rows.tokens) > before[1]:
            said = tagger.tag(rows.tokens[-1])
            named = dict(zip(run.tags.names, said.probabilities[0].round(DIGITS).tolist(), strict=True))
            found = {"line": number, "token": rows.tokens[-1], "tag": said.tags[0], "probabilities": named}
            yield Answer(number, said.tags, said.tags, found, "", _with(line, put(line.text, said.tags[0])))
            continue
        error, rows.error = rows.error, ""  # the next line is read all the same
        found = {"line": number, "error": error} if error else {}
        yield Answer(number, None, [], found, error, line.raw)


# Sentences


def _of_memory(run: Trained, inputs: Sequence[Any], options: TaggingOptions, say: Say) -> Iterator[Answer]:
    """Sentences; or one table with a sentence a row, which is given back with a column of tags."""
    if (rows := table_in(inputs)) is None:
        yield from _answers(run, [[_in_memory(at, given, "input") for at, given in enumerate(inputs, 1)]], options)
        return
    sentences = [_in_memory(at, row, "row") for at, row in enumerate(rows, 1)]
    yield in_table(rows, _answers(run, [sentences], options), say)


def _in_memory(number: int, given: Any, what: str) -> Sentence:
    """A sentence that is a list of words, a text whose words white space parts, or a mapping to either."""
    words = given.get("tokens", given.get("text")) if isinstance(given, Mapping) else given
    if isinstance(words, str):
        tokens, offsets = words_in(words)
        return Sentence(number, tokens, words, offsets, _nothing)
    if isinstance(words, list | tuple) and all(isinstance(word, str) and word for word in words):
        return Sentence(number, words, *placed(words, None), _nothing)
    expected, remedy = "a list of words, or a text", "give a list of sentences"
    raise UserError(f"{what} {number}", expected=expected, got=reprlib.repr(given), remedy=remedy)


def _nothing(tags: Sequence[str]) -> bytes:
    return b""


def _lines(arriving: Arriving, layout: Layout, options: TaggingOptions) -> Iterator[list[Sentence]]:
    """A sentence a line, which is answered by a line of tags."""
    numbers = count(1)
    for arrived in arriving:
        yield [_line(number, line) for line, number in zip(arrived, numbers, strict=False)]


def _line(number: int, line: InputLine) -> Sentence:
    tokens, offsets = words_in(line.text)

    def written(tags: Sequence[str]) -> bytes:
        return " ".join(tags).encode() + b"\n"

    return Sentence(number, [] if line.error else tokens, line.text, offsets, written, line.error)


def _json(arriving: Arriving, layout: Layout, options: TaggingOptions) -> Iterator[list[Sentence]]:
    """An object a line, with its tokens or a text, which is given back with the tags."""
    numbers, key = count(1), str(layout.column or "tags") if options.replace else PREDICTED
    for arrived in arriving:
        yield [_object(number, line, key) for line, number in zip(arrived, numbers, strict=False)]


def _object(number: int, line: InputLine, key: str) -> Sentence:
    raw = line.raw
    if not line.text.strip() and not line.error:
        return Sentence(number, [], "", [], lambda tags: raw, is_sentence=False)
    try:
        if line.error:
            raise ValueError(line.error)
        given = parse_object(line.text)
        text = SURROGATE.sub("�", given["text"]) if isinstance(given.get("text"), str) else None
        if text is not None and "tokens" not in given:
            tokens, offsets = words_in(text)
        else:
            tokens = list(parse_tokens(line.text, None).tokens)
            text, offsets = placed(tokens, text)
    except ValueError as error:
        return Sentence(number, [], line.text, [], lambda tags: raw, str(error))

    def written(tags: Sequence[str]) -> bytes:
        if key in given:
            return json.dumps({**given, key: list(tags)}).encode() + b"\n"
        before, brace, after = raw.rpartition(b"}")
        return before + f", {json.dumps(key)}: {json.dumps(tags, ensure_ascii=False)}".encode() + brace + after

    return Sentence(number, tokens, text, offsets, written)


def _columns(arriving: Arriving, layout: Layout, options: TaggingOptions) -> Iterator[list[Sentence]]:
    """A token a line, which is given back with its tag, to the byte; and so are all other lines."""
    reader, kept = ColumnReader(layout, tagged=options.replace), deque[InputLine]()
    put = reader.replaced if options.replace else reader.added

    def sentence(rows: TokenRows) -> Sentence:
        lines = [kept.popleft() for _ in rows.lines]

        def written(tags: Sequence[str]) -> bytes:
            tag = dict(zip(rows.at, tags, strict=False))
            return b"".join(_with(line, put(line.text, tag[at]) if at in tag else "") for at, line in enumerate(lines))

        if rows.error:
            return Sentence(rows.fault, [], "", [], written, rows.error)
        line = rows.first + (rows.at[0] if rows.at else 0)
        return Sentence(line, rows.tokens, *placed_rows(rows), written, is_sentence=bool(rows.tokens))

    for arrived in arriving:
        found = []
        for line in arrived:
            kept.append(line)
            if rows := reader.push(line.text, line.error):
                found.append(sentence(rows))
        yield found
    if rows := reader.finish():
        yield [sentence(rows)]


def _with(line: InputLine, text: str) -> bytes:
    """The bytes of a line, with another text where there is one: what is around it stays."""
    return line.raw.replace(line.text.encode(), text.encode(), 1) if text else line.raw


_READERS = {"lines": _lines, "jsonl": _json, "conll": _columns, "conllu": _columns}
