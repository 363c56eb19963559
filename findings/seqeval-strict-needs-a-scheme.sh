#!/usr/bin/env bash
# seqeval's strict mode is lenient without a scheme, and its schemes are lenient without the strict mode, silently.
#
# One would guess: f1_score(..., mode="strict") does not count a span that begins with an I tag, which IOB2 does not
# allow; or the call refuses a mode that lacks its scheme.
#
# What happens: mode="strict" alone gives the lenient score, and so does scheme=IOB2 alone; only both together are
# strict. A model whose every span breaks its scheme has an F1 of 1.0 in three of the four calls, and 0.0 in the fourth.
#
# Versions: seqeval 1.2.2, scikit-learn 1.7.2, numpy 2.3.5. Public source: seqeval/metrics/sequence_labeling.py, f1_score.
# Remedy: give both, and name both beside the score.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check seqeval==1.2.2 scikit-learn==1.7.2 numpy==2.3.5
cat > "$folder/score.py" <<'PYTHON'
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

meant, said = [["B-PER", "I-PER", "O"]], [["I-PER", "I-PER", "O"]]
calls = {
    "neither": {},
    "mode='strict'": {"mode": "strict"},
    "scheme=IOB2": {"scheme": IOB2},
    "both": {"mode": "strict", "scheme": IOB2},
}
scores = {name: float(f1_score(meant, said, **options)) for name, options in calls.items()}
print(scores)
assert list(scores.values()) == [1.0, 1.0, 1.0, 0.0]
PYTHON
"$folder/env/bin/python" -W ignore "$folder/score.py"
