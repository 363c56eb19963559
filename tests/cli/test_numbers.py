"""Every number of every command, far out of range: one line, the right exit code, nothing on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from elman import environment
from elman.cli import run as command
from elman.errors import UserError
from elman.settings import Section
from elman.tasks import TASKS, sizing
from elman.tasks.configuration import build, sections, set_values

Fails = Callable[[list[str | Path], int], str]

DIGITS = "1" + "0" * 5000  # more than Python reads
NO_NUMBER = ["nan", "", " ", "five", "1e400", "-1"]
HUGE = ["99999999999999999999", DIGITS]
NO_INT = [*NO_NUMBER, "5.5"]
NO_FLOAT = [*NO_NUMBER, "-inf", DIGITS]

# The options of each command, the values that it refuses, and what it is given beside them.
PREDICT = ["predict", "TRANSLATOR", "TEXT"]
SAMPLE = [*PREDICT, "--sample"]
GENERATE = ["generate", "RUN", "the", "--tokens", "3"]
TRAIN = ["train", "TEXT", "-o", "deep/out", "--set", "hidden_size=8"]
COMPARE = ["compare", "TEXT", "-o", "deep/out", "--models", "elman,gru"]
BENCH = ["bench", "--cells", "elman", "--passes", "inference", "--dtypes", "float32"]
TIMES = [*NO_NUMBER, "inf", "0", "1e400h", "٣", *HUGE]
REFUSED: list[tuple[list[str], list[str], list[str]]] = [
    (PREDICT, ["--beam", "--nbest", "--batch"], [*NO_INT, *HUGE, "0"]),
    (PREDICT, ["--min-length", "--max-length"], [*NO_INT, *HUGE]),
    (PREDICT, ["--block-ngrams", "--max-source"], [*NO_INT, "0"]),
    (PREDICT, ["--length-penalty", "--coverage-penalty"], [*NO_FLOAT, *HUGE, "1e308"]),
    (SAMPLE, ["--nbest", "--seed"], [*NO_INT, *HUGE]),
    (SAMPLE, ["--temperature"], NO_FLOAT),
    (SAMPLE, ["--top-p", "--min-p"], [*NO_FLOAT, "1.1", "1e308"]),
    (SAMPLE, ["--top-k"], [*NO_INT, "0"]),
    (GENERATE, ["--tokens", "--seed"], [*NO_INT, *HUGE]),
    (GENERATE, ["--temperature"], NO_FLOAT),
    (GENERATE, ["--top-p", "--min-p"], [*NO_FLOAT, "1.1", "1e308"]),
    (GENERATE, ["--top-k"], [*NO_INT, "0"]),
    (["evaluate", "RUN", "TEXT"], ["--lanes"], [*NO_INT, "0"]),
    (["evaluate", "TRANSLATOR", "PAIRS"], ["--beam", "--batch"], [*NO_INT, *HUGE, "0"]),
    (["evaluate", "TRANSLATOR", "PAIRS"], ["--length-penalty"], [*NO_FLOAT, *HUGE, "1e308"]),
    (TRAIN, ["--for"], TIMES),
    (TRAIN, ["--epochs"], [*NO_FLOAT, *HUGE, "0", "1e30"]),
    (TRAIN, ["--steps"], [*NO_INT, *HUGE, "0"]),
    ([*TRAIN, "--steps", "1"], ["--seed"], [*NO_INT, *HUGE, str(2**63), str(2**64)]),
    (COMPARE, ["--for"], TIMES),
    (COMPARE, ["--epochs"], [*NO_FLOAT, *HUGE, "0", "1e30"]),
    (COMPARE, ["--steps"], [*NO_INT, *HUGE, "0"]),
    ([*COMPARE, "--steps", "1"], ["--seeds", "--parameters"], [*NO_INT, *HUGE, "0"]),
    ([*COMPARE, "--steps", "1"], ["--seed", "--trials"], [*NO_INT, *HUGE]),
    ([*COMPARE, "--steps", "1"], ["--parameters"], ["5", "20000000000"]),
    (["lab", "gates", "--quick"], ["--seed"], [*NO_INT, *HUGE]),
    (BENCH, ["--seconds"], [*NO_FLOAT, *HUGE]),
    (BENCH, ["--threads"], [*NO_INT, *HUGE, "0", "1,"]),
    (BENCH, ["--shapes"], ["5,5", "5,5,0", "5,5,-1", "5,5,nan", "5,5," + HUGE[0], "5,5," + DIGITS, "1,1,99999999"]),
]


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A translation run that has learnt nothing, and the pairs that it did not learn."""
    folder = tmp_path_factory.mktemp("numbers")
    pairs = folder / "pairs.tsv"
    pairs.write_text("".join(f"{'ab' * n}\t{'ba' * n}\n" for n in range(1, 30)))
    small = ["--set", "hidden_size=4", "--set", "embedding_size=4", "--set", "validation_sentences=0"]
    assert command(["train", str(pairs), "-o", str(folder / "run"), "--steps", "1", *small]) == 0
    return {"TRANSLATOR": str(folder / "run"), "PAIRS": str(pairs)}


@pytest.mark.parametrize(("given", "options", "values"), REFUSED, ids=lambda x: " ".join(x)[:40])
def test_what_an_option_refuses(
    translator: dict[str, str],
    trained: Path,
    plain_text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: Fails,
    given: list[str],
    options: list[str],
    values: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    places = translator | {"RUN": str(trained), "TEXT": str(plain_text)}
    for option in options:
        for value in values:
            line = fails([*(places.get(word, word) for word in given), f"{option}={value}"], 2)
            assert option in line
            assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (PREDICT, ["--block-ngrams=BIG", "--max-source=BIG", "--batch=65536", "--length-penalty=10"]),
        (PREDICT, ["--beam=1000", "--nbest=1000", "--coverage-penalty=1000", "--max-length=3"]),
        (PREDICT, ["--max-length=100000"]),
        (SAMPLE, ["--nbest=1000", "--max-length=3", "--top-k=BIG", "--temperature=1e308", f"--seed={2**63 - 1}"]),
        (SAMPLE, ["--temperature=1e-320", "--top-p=0", "--min-p=0"]),
        (GENERATE, ["--temperature=1e308", "--top-k=BIG", f"--seed={2**63 - 1}"]),
        (GENERATE, ["--temperature=1e-320", "--top-p=1e-320", "--min-p=1e-320"]),
        (["evaluate", "RUN", "TEXT"], ["--lanes=BIG"]),
    ],
    ids=str,
)
def test_numbers_that_are_large_and_no_fault(
    translator: dict[str, str],
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    options: list[str],
) -> None:
    (tmp_path / "in").write_text("ab\n")
    (tmp_path / "text").write_text("the cat sat on the mat.\n" * 5)
    text = tmp_path / ("text" if given[0] == "evaluate" else "in")
    places = translator | {"RUN": str(trained), "TEXT": str(text)}
    arguments = [*(places.get(word, word) for word in given), *(x.replace("BIG", HUGE[0]) for x in options)]
    capsys.readouterr()
    assert command(arguments) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert (out != "", err) == (True, "")


# Settings.

SETTINGS = {  # each once, though several kinds of model have it
    (task, section, name): (task, kind, name)
    for task, about in TASKS.items()
    for kind in ("lstm", "transformer")
    for section in sections(about, kind).values()
    for name, field in section.model_fields.items()
    if {"ge", "gt"} & {key for constraint in field.metadata for key in dir(constraint)}
}
# Python alone counts these, or the data ends before them; no memory is taken for them.
COUNTED = {"vocab_size", "min_count", "max_length", "k2", "patience", "max_bad_steps", "nonmonotone"}
COUNTED |= {"validate_every", "checkpoint_every", "batch_tokens", "lanes", "k1"}
ENDLESS = {"learning_rate", "muon_rate", "weight_decay", "clip_threshold"}


@pytest.mark.parametrize(("task", "kind", "name"), SETTINGS.values(), ids=str)
def test_what_a_setting_refuses(task: str, kind: str, name: str) -> None:
    begun = {"task": task, "kind": kind, "budget": {"amount": 1, "unit": "steps"}}
    if name == "num_heads":
        begun["model"] = {"hidden_size": 8}
    values = ["nan", "inf", "-inf", "1e400", "-1", "five", DIGITS]
    if name not in COUNTED | ENDLESS:
        values.append(HUGE[0])
    for value in values:
        with pytest.raises(UserError) as refused:
            build(set_values(begun, [f"{name}={value}"]))
        assert name in str(refused.value)
        assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        (f"hidden_size={10**12}", 2, "hidden_size: expected less than or equal to 65536, got 1000000000000"),
        (f"num_layers={HUGE[0]}", 2, "num_layers: expected less than or equal to 1024"),
        (f"hidden_size={DIGITS}", 2, "--set hidden_size: expected a YAML value, got '10000"),
        (f"hidden_size={'[' * 1000}", 2, "--set hidden_size: expected a YAML value, got '[[[["),
        ("hidden_size=2026-13-45", 2, "--set hidden_size: expected a YAML value, got '2026-13-45'"),
        ("learning_rate=inf", 2, "learning_rate: expected a finite number, got 'inf'"),
        (f"lanes={HUGE[0]}", 1, "the text is too short"),
        (f"k1={HUGE[0]}", 1, "the text is too short"),
    ],
    ids=lambda x: str(x)[:30],
)
def test_a_setting_on_the_command_line(
    plain_text: Path, tmp_path: Path, fails: Fails, setting: str, code: int, message: str
) -> None:
    small = ["--steps", "1", "--set", "hidden_size=8"]
    line = fails(["train", plain_text, "-o", tmp_path / "deep" / "run", *small, "--set", setting], code)
    assert message in line
    assert list(tmp_path.iterdir()) == []


def section(kind: str, name: str) -> Section:
    settings = build({"kind": kind, "budget": {"amount": 1, "unit": "steps"}})
    found: Section = getattr(settings, name)
    return found


@pytest.mark.parametrize("amount", [1e30, 10**400, float("inf"), float("nan")])
@pytest.mark.parametrize("unit", ["steps", "epochs", "seconds"])
def test_a_budget_in_a_file(amount: float, unit: str) -> None:
    with pytest.raises(UserError, match=r"budget|amount"):
        build({"budget": {"amount": amount, "unit": unit}})


# Memory.

LARGE = ["--set", "hidden_size=3000", "--set", "num_layers=2"]


@pytest.mark.parametrize(
    ("given", "more"),
    [
        (["train", "TEXT"], ["--steps", "1", *LARGE]),
        (["train", "TEXT"], ["--for", "5s", *LARGE]),
        (["train", "TEXT", "--model", "transformer"], ["--epochs", "1", *LARGE]),
        (["train", "PAIRS"], ["--steps", "1", *LARGE]),
        (["compare", "TEXT", "--models", "elman,gru"], ["--match", "tokens", "--steps", "1", *LARGE]),
        (["compare", "TEXT", "--models", "elman,gru"], ["--steps", "1", "--parameters", "30000000"]),
    ],
    ids=lambda x: " ".join(x)[:40],
)
def test_a_model_that_does_not_fit_is_refused_before_it_is_made(
    translator: dict[str, str],
    plain_text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: Fails,
    given: list[str],
    more: list[str],
) -> None:
    monkeypatch.setattr(environment, "ram", lambda device="cpu": 300_000_000)
    places = translator | {"TEXT": str(plain_text)}
    line = fails([*(places.get(word, word) for word in given), "-o", tmp_path / "deep" / "out", *more], 1)
    assert "the model is too large for the machine's memory (RAM): expected at most 300.0 MB, got " in line
    assert "make it smaller: its hidden_size, its layers, its vocabulary" in line
    assert list(tmp_path.iterdir()) == []


def test_what_a_training_needs_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes for each weight, its gradient, and what the optimizer keeps of it; where nobody knows, all fits."""
    import torch

    train = section("lstm", "train")
    monkeypatch.setattr(environment, "ram", lambda device="cpu": 16_000)
    sizing.check_ram(lambda: torch.nn.Linear(1000, 1, bias=False), train)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="at most 16,000 bytes, got 16,016 bytes to train 1,001 parameters"):
        sizing.check_ram(lambda: torch.nn.Linear(1001, 1, bias=False), train)  # type: ignore[arg-type]
    monkeypatch.setattr(environment, "ram", lambda device="cpu": None)
    sizing.check_ram(lambda: torch.nn.Linear(1001, 1, bias=False), train)  # type: ignore[arg-type]


def test_this_machine_has_memory() -> None:
    found = environment.ram()
    assert found is None or found > 10**8
