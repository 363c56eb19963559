"""Two benchmarks' own files as TSV of pairs, for `elman train`.

    python benchmarks/to_pairs.py scan IN OUT.tsv           "IN: jump left OUT: I_TURN_LEFT I_JUMP"
    python benchmarks/to_pairs.py sigmorphon IN OUT.tsv     "falar<TAB>fala<TAB>V;3;SG;IND;PRS"

SCAN (Lake & Baroni, 2018): the command, and the actions; words are its tokens. SIGMORPHON's shared task on
morphological reinflection (Cotterell et al., 2017): the features before the lemma, and the form; characters are
its tokens.
"""

from __future__ import annotations

import sys
from pathlib import Path


def scan(line: str) -> tuple[str, str]:
    """A line of SCAN: the command and its actions.

    >>> scan("IN: jump left OUT: I_TURN_LEFT I_JUMP")
    ('jump left', 'I_TURN_LEFT I_JUMP')
    """
    command, actions = line.removeprefix("IN: ").split(" OUT: ")
    return command, actions


def sigmorphon(line: str) -> tuple[str, str]:
    """A line of SIGMORPHON: the features and the lemma, and the inflected form.

    >>> sigmorphon("falar\\tfala\\tV;3;SG;IND;PRS")
    ('V;3;SG;IND;PRS|falar', 'fala')
    """
    lemma, form, features = line.split("\t")
    return f"{features}|{lemma}", form


FORMATS = {"scan": scan, "sigmorphon": sigmorphon}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in FORMATS:
        sys.exit(__doc__)
    name, read, written = sys.argv[1:]
    lines = Path(read).read_text(encoding="utf-8").splitlines()
    pairs = [FORMATS[name](line) for line in lines if line.strip()]
    Path(written).write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")
    print(f"{len(pairs):,} pairs in {written}", file=sys.stderr)
