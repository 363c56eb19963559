"""`elman predict` on a stub of a translation run."""

from __future__ import annotations

import errno
import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from elman import runs
from elman.cli import run as command
from elman.data import textfile
from elman.data.tokenizers import CharTokenizer
from elman.decode.translation import Beam, Translator, translate
from elman.tasks import TASKS
from elman.tasks.translation.prediction import alignment_lines
from encoder_decoders import Attentive

LINES = ["abcd", "", "b", "dd  a", "cab"]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A translation run, in place of whatever is asked for."""
    source, target = CharTokenizer("abcd ", eod=True), CharTokenizer("xyz-\n", eod=True)
    torch.manual_seed(3)
    model = Attentive(source.vocab_size, target.vocab_size).double().eval()
    with torch.no_grad():
        model.logits.weight *= 6
    run = SimpleNamespace(task=TASKS["translation"], model=model, source_tokenizer=source, target_tokenizer=target)
    monkeypatch.setattr(runs, "load", lambda name: run)
    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


def said(arguments: list[str | Path], capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert command(["predict", "run", *map(str, arguments)]) == code
    return capsys.readouterr()


def expected(run: SimpleNamespace, **options: Any) -> list[str]:
    one = Translator(run.model, run.source_tokenizer, run.target_tokenizer, **options)
    return [" ".join(x.text.splitlines()) for x in translate(one, LINES)]


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))


def test_a_line_in_is_a_line_out(
    loaded: SimpleNamespace, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = said([file], capsys)
    assert out.split("\n") == [*expected(loaded), ""]
    assert err == ""
    for arguments in ([], ["-"]):
        give(monkeypatch, "\r\n".join(LINES).encode())
        assert said([*arguments], capsys) == (out, "")
    packed = file.with_suffix(".gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert said([packed, "--batch", "2"], capsys)[0] == out


def test_nothing_in_is_nothing_out(
    loaded: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"")
    assert said([], capsys) == ("", "")
    give(monkeypatch, b"\n\n")
    assert said([], capsys) == ("\n\n", "")


def test_a_line_is_answered_before_the_next_is_there(
    loaded: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = io.StringIO()
    seen = []

    class Person(io.RawIOBase):
        lines = iter([b"abcd\nb", b"\ndd", b"  a\n", b"cab"])

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            seen.append(written.getvalue().count("\n"))
            line = next(self.lines, b"")
            buffer[: len(line)] = line
            return len(line)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Person())))
    monkeypatch.setattr(sys, "stdout", written)
    assert command(["predict", "run"]) == 0
    assert seen[:5] == [0, 1, 2, 3, 3]
    assert written.getvalue().splitlines() == [
        line for line, source in zip(expected(loaded), LINES, strict=True) if source
    ]


def test_settings_reach_the_search(loaded: SimpleNamespace, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: list[str | Path] = ["--beam", "3", "--length-penalty", "1", "--coverage-penalty", "0.5"]
    assert said([file, *options], capsys)[0].splitlines() == expected(loaded, search=Beam(3, 1, 1.0, 0.5))
    records = [
        json.loads(line)
        for line in said([file, "--json", "--min-length", "4", "--max-length", "6", "--block-ngrams", "1"], capsys)[
            0
        ].splitlines()
    ]
    assert [4 <= len(set(x["tokens"])) == len(x["tokens"]) <= 6 or x["source"] == "" for x in records] == [True] * 5
    begun = said([file, "--prefix", "zz"], capsys)[0].splitlines()
    assert [line.startswith("zz") for line in begun] == [True, False, True, True, True]


def test_json_has_it_all(loaded: SimpleNamespace, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said([file, "--json", "--nbest", "3", "--alignments"], capsys)
    records = [json.loads(line) for line in out.splitlines()]
    assert [(x["line"], x["source"]) for x in records] == list(enumerate(LINES, 1))
    for record in (x for x in records if x["source"]):
        best, *others = record["nbest"]
        assert {name: record[name] for name in best} == best
        assert [x["score"] for x in (best, *others)] == sorted((x["score"] for x in (best, *others)), reverse=True)
        assert len(best["alignment"]) == len(best["tokens"])
        assert all(len(row) == len(record["source_tokens"]) for row in best["alignment"])
    plain = said([file, "--json"], capsys)[0].splitlines()
    assert list(json.loads(plain[0])) == ["line", "source", "unknown", "text", "score", "log_probability", "tokens"]


def test_several_translations_as_text(loaded: SimpleNamespace, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split(" ||| ") for line in said([file, "--nbest", "2"], capsys)[0].splitlines()]
    assert [number for number, *_ in lines] == ["1", "1", "2", "3", "3", "4", "4", "5", "5"]
    assert lines[0][1] == expected(loaded)[0]
    assert float(lines[0][2]) >= float(lines[1][2])


def test_samples(loaded: SimpleNamespace, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: list[str | Path] = [file, "--sample", "--nbest", "3", "--temperature", "2"]
    once = said([*options, "--seed", "5"], capsys)[0]
    assert said([*options, "--seed", "5", "--batch", "1"], capsys)[0] == once
    assert said([*options, "--seed", "6"], capsys)[0] != once
    record = json.loads(said([*options, "--json"], capsys)[0].splitlines()[0])
    again = said([*options, "--json", "--seed", str(record["seed"])], capsys)[0]
    assert json.loads(again.splitlines()[0]) == record


def test_an_alignment_for_the_eye(loaded: SimpleNamespace, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said([file, "--alignments", "--min-length", "3"], capsys)[0].split("\n")
    assert out[1] == "   a b c d <eod>"
    rows = out[2 : out.index("")]
    assert "".join(row[0] for row in rows).replace("↵", " ").strip() == out[0].strip()
    assert all(set(row[3:]) <= set("·░▒▓█ ") for row in rows)


def test_wide_characters_take_two_columns() -> None:
    head, row = alignment_lines([[1.0, 0.0]], ["x"], ["貓", "a"])
    assert (head, row) == ("   貓 a", "x  ██ ·")


Fails = Callable[[list[str | Path], int], str]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nbest", "6"], "nbest: expected at most the beam's 5, got 6; give beam 6 too"),
        (["--beam", "2", "--nbest", "3"], "nbest: expected at most the beam's 2"),
        (["--beam", "0"], "--beam"),
        (["--temperature", "1"], "temperature is for sample; give sample too"),
        (["--seed", "1"], "seed is for sample"),
        (["--sample", "--beam", "3"], "beam is not for sample; leave one of them out"),
        (["--sample", "--temperature", "inf"], "--temperature: expected a finite number"),
        (["--sample", "--temperature", "nan"], "--temperature"),
        (["--length-penalty", "inf"], "--length-penalty"),
        (["--length-penalty", "-1"], "--length-penalty"),
        (["--min-length", "5", "--max-length", "4"], "max_length: expected at least min_length 5, got 4"),
        (["--prefix", "\udcff"], "--prefix: expected UTF-8 text"),
        (["--prefix", "xyz", "--max-length", "2"], "max_length: expected at least 3"),
    ],
)
def test_options_that_do_not_fit(
    loaded: SimpleNamespace, file: Path, fails: Fails, arguments: list[str | Path], message: str
) -> None:
    assert message in fails(["predict", "run", file, *arguments], 2)


def test_a_language_model_writes_otherwise(trained: Path, file: Path, fails: Fails) -> None:
    line = fails(["predict", trained, file], 2)
    assert "a forecaster or a translation model, got a language model" in line
    assert f"`elman generate {trained}`" in line


BAD = b"ab\n\xff\nb\nabcdabcd\nb\x00\n\nc\xe2\n\x0b\ndd  a"
ERRORS = {
    2: "expected UTF-8 text, got byte 0 (invalid start byte)",
    4: "expected at most 6 tokens, got 9; split it, or raise the limit (--max-source)",
    5: "expected text, got NUL at byte 1",
    7: "expected UTF-8 text, got byte 1 (unexpected end of data)",
}
GOOD = ["ab", "", "b", "", "", "", "", "\x0b", "dd  a"]  # the others' lines are blank


@pytest.mark.parametrize("batch", ["1", "2", "64"])
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--nbest", "2"],
        ["--alignments"],
        ["--sample", "--seed", "3", "--nbest", "2"],
        ["--json"],
        ["--json", "--alignments", "--nbest", "2"],
    ],
    ids=" ".join,
)
def test_a_bad_line_takes_no_other_with_it(
    loaded: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    options: list[str],
    batch: str,
) -> None:
    """Each has its place in the output, which is else that of the lines around it, and all are named at the end."""
    (tmp_path / "bad").write_bytes(BAD)
    (tmp_path / "good").write_text("\n".join(GOOD), newline="")
    more = ["--max-source", "6", "--batch", batch, *options]
    out, err = said([tmp_path / "bad", *more], capsys, code=1)
    named = [f"{tmp_path / 'bad'}, line {number}: {error}" for number, error in ERRORS.items()]
    assert err.splitlines() == [*named, "elman: 4 of 9 lines have no answer"]
    give(monkeypatch, BAD)
    assert said(more, capsys, code=1) == (out, err.replace(f"{tmp_path / 'bad'}, ", ""))
    good, _ = said([tmp_path / "good", *more], capsys)
    if "--json" not in options:
        for number in ERRORS if "--nbest" in options else ():
            good = good.replace(f"\n{number} |||  ||| 0.0000\n", f"\n{number} |||  ||| -inf\n")
        assert out == good
        return
    records = [json.loads(line) for line in good.splitlines()]
    sources = {number: line.decode(errors="replace") for number, line in enumerate(BAD.split(b"\n"), 1)}
    for number, error in ERRORS.items():
        records[number - 1] = {"line": number, "source": sources[number], "error": error, "text": ""}
    assert [json.loads(line) for line in out.splitlines()] == records


def test_many_bad_lines_are_named_in_few(
    loaded: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"a\n\xff\n" * 600)
    out, err = said([], capsys, code=1)
    assert out.count("\n") == 1200
    *named, more, last = err.splitlines()
    assert [line.partition(":")[0] for line in named] == [f"line {2 * n}" for n in range(1, 11)]
    assert (more, last) == ("and 590 more", "elman: 600 of 1,200 lines have no answer")


def test_what_ends_the_reading_hides_no_bad_line(
    loaded: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(textfile, "BLOCK", 8)
    cut_short = tmp_path / "x.gz"
    cut_short.write_bytes(gzip.compress(b"\xff\nab\n" * 9)[:-6])
    out, err = said([cut_short], capsys, code=1)
    assert out.startswith("\n" + expected_one(loaded, "ab"))
    assert err.splitlines()[0] == f"{cut_short}, line 1: {ERRORS[2]}"
    assert "is damaged or cut short" in err.splitlines()[-1]


def expected_one(run: SimpleNamespace, line: str) -> str:
    [found] = translate(Translator(run.model, run.source_tokenizer, run.target_tokenizer), [line])
    return found.text


def test_a_reader_that_has_seen_enough(loaded: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`| head`: no failure, no traceback; what was left out before is named."""

    class Head(io.StringIO):
        def write(self, text: str) -> int:
            if self.getvalue().count("\n") > 2:
                raise BrokenPipeError(errno.EPIPE, "Broken pipe")
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Head())
    give(monkeypatch, b"\xff\n" + b"ab\n" * 9)
    assert command(["predict", "run"]) == 0
    assert capsys.readouterr().err == f"line 1: {ERRORS[2]}\n"


def test_utf_16_is_no_text(loaded: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, fails: Fails) -> None:
    give(monkeypatch, "ab\ncd\n".encode("utf-16"))
    assert "stdin is UTF-16 text; iconv" in fails(["predict", "run"], 1)


def test_no_such_file(loaded: SimpleNamespace, file: Path, fails: Fails) -> None:
    assert "nowhere.txt: no such file" in fails(["predict", "run", file.parent / "nowhere.txt"], 2)


def test_no_such_run(file: Path, fails: Fails) -> None:
    assert "no such run" in fails(["predict", file.parent / "none", file], 1)
