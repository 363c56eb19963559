import gzip
import sys
from pathlib import Path

import pytest
import zstandard

from elman.data.recognition import BEGINNING, beginning, check_text, recognise
from elman.data.sources import python_stdlib
from elman.errors import UserError

ETT = "date,HUFL,HULL,OT\n" + "".join(f"2016-07-01 {hour:02}:00:00,5.82,{hour}.0,-1e-3\n" for hour in range(24))
CONLLU = """# text = PT no governo
1\tPT\tPT\tPROPN\t_\tGender=Masc\t0\troot\t_\t_
2-3\tno\t_\t_\t_\t_\t_\t_\t_\t_
2\tem\tem\tADP\t_\t_\t4\tcase\t_\t_

# text = Sim
1\tSim\tsim\tADV\t_\t_\t0\troot\t_\t_

"""
CONLL = "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\nGerman JJ B-NP B-MISC\n\ncall NN I-NP O\n. . O O\n\n"
SERIES = "#A comment, with commas, and more\n@problemName Vowels\n@timeStamps false\n@data\n1.8,1.7:0.1,0.2:a\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ETTh1.csv", ETT, "a table (CSV, 4 columns)"),
        ("values", ETT, "a table (CSV, 4 columns)"),
        ("values.txt", ETT.replace("\n", "\r\n"), "a table (CSV, 4 columns)"),
        ("values.txt", "\ufeff" + ETT.replace(",", "\t"), "a table (TSV, 4 columns)"),
        ("german.txt", "a;b;c\n" + "1,5;2,5;3,5\n" * 5, "a table (CSV, separated by ;, 3 columns)"),
        ("german.csv", "a;b;c\n" + "1,5;2,5;3,5\n" * 5, "a table (CSV, separated by ;, 3 columns)"),
        ("xy", "t,x\n0,0.5\n1,.25\n2,\n", "a table (CSV, 2 columns)"),
        ("people.csv", 'name,says\nAnn,"Yes, and\nno."\nBob,"No, ""never""."\n', "a table (CSV, 2 columns)"),
        (
            "people",
            "name,town,job\n" + "Ann,Rome,cook\nBob,Oslo,smith\nEve,Bonn,judge\n" * 3,
            "a table (CSV, 3 columns)",
        ),
        ("people.csv", "Ann,Rome,cook\nBob,Oslo,smith\n", "a table (CSV, 3 columns)"),
        ("ragged.csv", "A title\nx,y\n1,2\n3,4\n5,6,7\n8,9\n", "a table (CSV, 2 columns)"),
        ("one.csv", "x\n1\n2.5\n", "a table (CSV, 1 column)"),
        ("forms", "gelar\tgeláramos\tV;1;PL\n" * 4, "a table (TSV, 3 columns)"),
        ("wide.tsv", "id\ttext\tlabel\n1\tA good film.\tpos\n", "a table (TSV, 3 columns)"),
        ("data.arff", "% iris\n@RELATION iris\n@DATA\n5.1,a\n", "a table (ARFF)"),
        ("dev.conllu", CONLLU, "sentences of tagged tokens (CoNLL-U)"),
        ("dev.txt", CONLLU * 1000, "sentences of tagged tokens (CoNLL-U)"),
        ("eng.train", CONLL, "sentences of tagged tokens (CoNLL, 4 columns)"),
        ("eng.train", "-DOCSTART- -X- O\n\nEU NNP B-ORG\n", "sentences of tagged tokens (CoNLL, 3 columns)"),
        (
            "pos.txt",
            "The\tDET\ncat\tNOUN\nsat\tVERB\n.\t.\n\nYes\tINTJ\n",
            "sentences of tagged tokens (CoNLL, 2 columns)",
        ),
        ("short.conll", "a b\nc d\n", "sentences of tagged tokens (CoNLL, 2 columns)"),
        ("seq.out", "O O B-artist I-artist\nB-album O\n", "tags of tokens (BIO)"),
        ("a.json", '{"train": [[1, 2.5e3], []], "ok": null}', "JSON"),
        ("a.txt", ' [{"text": "a \\" [b"}, {"text": "c"}]\n', "JSON"),
        ("a", '{"text": "one"}\n{"text": "two"}\n', "JSON"),
        ("a.json", '{"a": 1 /* a comment */}', "JSON"),
        ("Vowels.ts", SERIES, "time series (.ts)"),
        ("Vowels", SERIES.replace("N", "n"), "time series (.ts)"),
    ],
)
def test_what_a_table_looks_like(name: str, text: str, words: str) -> None:
    assert recognise(name, text.encode()[:BEGINNING]) == words


@pytest.mark.parametrize(
    ("start", "each", "stop"), [("[", "[1, -2.5e-3, null], ", "0]"), ("{", '"a very long key of it": "é", ', '"":0}')]
)
def test_long_json_is_known_wherever_the_beginning_ends(start: str, each: str, stop: str) -> None:
    text = (start + each * (BEGINNING // len(each)) + stop + " " * 99).encode()
    for shift in range(len(each)):
        assert recognise("a", (b" " * shift + text)[:BEGINNING]) == "JSON"
    assert recognise("a", (text + b"and so on, in words that are no JSON" * 2)[-BEGINNING:]) is None


TEXTS = {
    "verse": "Roses, red,\nViolets, blue,\nSugar, sweet,\nAnd so are you,\n",
    "chords": "C,G,Am,F\n" * 4,
    "more chords": "Em,D,C,G\nC,G,Am,F\nF,C,G,Am\n" * 9,
    "verse without spaces": "Roses,red,fair\nViolets,blue,rare\nSugar,sweet,there\nAnd,so,you\n",
    "words": "Ann,Rome,cook\nBob,Oslo,smith\nEve,Bonn,judge\n" * 9,
    "refrain": "la, la, la\n" * 50,
    "short lines": "Love me\nHold me\n\nLove me\nHold me\n\n" * 3,
    "a word a line": "STOP\nGO\n\nSTOP\nGO\n\n" * 3,
    "footnotes": "[1] A note.\n[2] Another, longer note.\n",
    "chorus": "[Chorus]\nNa na na\n\n[Verse]\nHey\n",
    "braces": "{ this is prose }\n",
    "lists": "[a, b, c]\n[d, e, f]\n",
    "markdown": "# Results\n\n| model | loss |\n|---|---|\n| lstm | 1.5 |\n| gru | 1.6 |\n\nBoth are good.\n",
    "table alone": "| model | loss |\n|---|---|\n| lstm | 1.5 |\n| gru | 1.6 |\n| elman | 1.7 |\n",
    "log": "".join(f"2024-01-01 10:00:{s:02},123 INFO step done\n" for s in range(60)),
    "pipes": "".join(f"2024-01-01 10:00:{s:02}|INFO|step done\n" for s in range(60)),
    "access": '127.0.0.1 - - [10/Oct/2000:13:55:36] "GET / HTTP/1.0" 200 2326\n' * 9,
    "dictionary": "abacus\ta frame with beads\nabase\tto lower\nabate\tto lessen\nabbey\ta house of monks\n",
    "headwords": "abacus, n. a frame, with beads\nabase, v. to lower, to humble\nabate, v. to lessen\nabbey, n.\n",
    "pairs.tsv": "Hello, you\tHallo, du\nYes, I\tJa, ich\nNo, we\tNein, wir\nNow, then\tNun, also\n",
    "docs.jsonl": '{"text": "one"}\n{"text": "two"}\n',
    "C": "static const int a[] = {\n\t1,\t2,\t3,\n\t4,\t5,\t6,\n\t7,\t8,\t9,\n};\n",
    "Makefile": "all:\n\tcc\t-o\ta\n\tld\t-o\tb\n\tar\t-o\tc\n",
    "HTML": "<ul>\n<li>One, two</li>\n<li>Three, four</li>\n</ul>\n",
    "YAML": "- {a: 1, b: 2}\n- {a: 3, b: 4}\n- {a: 5, b: 6}\n- {a: 7, b: 8}\n",
    "TypeScript.ts": "@Component({selector: 'a'})\nexport class A { b: number[] = [1, 2, 3]; }\n",
    "CSS": "@media print {\n  a { color: red; }\n}\n",
    "scan": "IN: jump twice OUT: I_JUMP I_JUMP\nIN: walk OUT: I_WALK\nIN: run OUT: I_RUN\nIN: look OUT: I_LOOK\n",
    "numbers": "".join(f"{n}\n" for n in range(99)),
    "sums": "".join(f"{n}+{n}={2 * n}\n" for n in range(99)),
    "note.csv": "This was a table once.\nNow it is a note, no more.\nThat is all.\n",
    "PDF, the format": "%PDF- is what such a file begins with.\n",
    "empty": "",
    "a long line": "word " * BEGINNING,
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_text(name: str) -> None:
    text = TEXTS[name].encode()
    assert recognise(name, text[:BEGINNING]) is None
    assert recognise(name, text.replace(b"\n", b"\r\n")[:BEGINNING]) is None


def test_source_code_is_text() -> None:
    """All of the running interpreter's library, whatever its files are called."""
    for path in python_stdlib():
        assert recognise("source.txt", beginning(path)) is None, path
    check_text("python-stdlib")


def test_binary_files_are_named() -> None:
    assert recognise("a.parquet", b"PAR1\x15\x04\x15\0") == "a Parquet file"
    assert recognise("a.npz", b"PK\x03\x04\x14\0") == "a zip archive (.npz, .xlsx, \u2026)"
    assert recognise("a.txt", b"\x7fELF\0") is None  # its reader says where it is no text


@pytest.mark.parametrize("ending", ["", ".gz", ".zst", ".GZ"])
def test_the_error_names_kind_and_remedy(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"ETTh1.csv{ending}"
    compress = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[ending.lower()]
    path.write_bytes(compress(ETT.encode()))
    with pytest.raises(UserError) as caught:
        check_text(path, "train on it all the same")
    assert str(caught.value) == (
        f"{path} looks like a table (CSV, 4 columns): expected a text or pairs; for labels or series, name the columns "
        "text and label, or unique_id, ds and y, or say their names (text=NAME); train on it all the same"
    )
    assert caught.value.exit_code == 2


LICENCE = "CC-BY 2.0 (France) Attribution: tatoeba.org #2877272 (CM)"


@pytest.mark.parametrize("name", ["deu.txt", "deu.tsv"])
@pytest.mark.parametrize(
    ("row", "hint"),
    [
        (f"Go on.\tMach weiter.\t{LICENCE}\n", True),
        ("1\tGo on.\t2\tMach weiter.\n", True),
        ("2016-07-01\t3.5\tfair\n", False),
        ("1\t2\t3\n", False),
    ],
)
def test_pairs_with_further_columns_are_told_what_to_keep(tmp_path: Path, name: str, row: str, hint: bool) -> None:
    path = tmp_path / name
    path.write_text(row * 5000)
    with pytest.raises(UserError, match=r"looks like a table \(TSV, ") as caught:
        check_text(path, "train on it all the same")
    assert ("for pairs, keep two columns, in a .tsv (such as cut -f 1,2)" in str(caught.value)) == hint
    assert str(caught.value).endswith("; train on it all the same")


def test_a_folder_is_what_most_of_its_texts_are(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.csv").write_text(ETT)
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n\0")  # is passed over in any case
    (tmp_path / "about.txt").write_text("What this is.")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError, match=r"looks like a table \(CSV, 4 columns\) in 3 of 4 files, such as 0\.csv: exp"):
        check_text(tmp_path)
    for number in range(2):
        (tmp_path / f"{number}.txt").write_text("A text.")
    check_text(tmp_path)


def test_only_the_beginning_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.gz"
    path.write_bytes(gzip.compress(b"text\n" * 2_000_000)[:-100])  # cut short: whoever reads on finds it damaged
    assert len(beginning(path)) == BEGINNING
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "a.zst").write_bytes(zstandard.compress(b"text"))
    with pytest.raises(UserError, match="zstandard"):
        check_text(tmp_path / "a.zst")
