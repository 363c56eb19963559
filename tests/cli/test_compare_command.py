"""`elman compare` as a person uses it: one table a seed, exact resumption, clear refusals."""

from __future__ import annotations

import builtins
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.cli import run as command
from elman.compare import comparison
from elman.compare.drawing import html
from elman.compare.outcomes import outcomes, result_rows
from elman.compare.plan import Plan
from elman.compare.store import Store, open_store
from elman.compare.training import Stopped
from elman.lens import fit_decay
from elman.lens.decay import WORDS
from elman.report.figure import number
from elman.tasks import TASKS
from elman.train.schedule import Budget

SMALL = ["--models", "gru,elman", "--steps", "6", "--parameters", "5000", "--set", "lanes=4", "--set", "k1=8"]
Fails = Callable[[list[str | Path], int], str]
Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture(scope="module")
def compared(plain_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "comparison"
    assert command(["compare", str(plain_text), "-o", str(folder), "--seeds", "2", *SMALL]) == 0
    return folder


def test_everything_is_there(compared: Path) -> None:
    names = {path.name for path in compared.iterdir()}
    runs = {"gru-1", "gru-2", "elman-1", "elman-2"}
    assert names == runs | {"cache", "comparison.json", "timing.json", "report.html"}
    known = json.loads((compared / "comparison.json").read_text())
    assert set(known["runs"]) == runs
    assert all(abs(count - 5000) <= 100 for count in known["parameters"].values())
    assert len({result["tokens"] for result in known["runs"].values()}) == 1
    for name, result in known["runs"].items():
        # What is measured block by block is what validation measured.
        best = min(loss for _, _, loss in result["curve"])
        assert result["loss"] == pytest.approx(best, rel=1e-5), name
    for name, clocked in json.loads((compared / "timing.json").read_text())["runs"].items():
        assert clocked.keys() >= {"own_share", "others_share"}, name
    page = (compared / "report.html").read_text()
    assert "Loss against tokens read" in page
    assert "no curve of the validations" in page  # six steps have one
    assert "95 % over 2 seeds" in page
    assert "nan" not in page
    assert WORDS in page
    for model in ("gru", "elman"):
        measured = known["runs"][f"{model}-1"]["memory"]
        words = fit_decay(np.arange(measured["lags"] + 1), np.array(measured["gradient"])).words
        assert f"{model}: {words}" in page


def test_the_table_says_what_is_left_of_the_gradient_far_back(compared: Path) -> None:
    """The median over the seeds of the shares, at the last lag that was looked at."""
    known = json.loads((compared / "comparison.json").read_text())
    plan = Plan(data=("",), models=("gru", "elman"), budget=Budget(6, "steps"), seeds=2)
    ranked = outcomes(plan, known)
    for one, row in zip(ranked, result_rows(ranked, TASKS[plan.task]), strict=True):
        gradients = [np.array(known["runs"][f"{one.model}-{seed}"]["memory"]["gradient"]) for seed in (1, 2)]
        lag = len(gradients[0]) - 1
        share = np.median([gradient[-1] / gradient[0] for gradient in gradients])
        assert one.left[str(lag)] == pytest.approx(share)
        assert row["gradient left"] == f"{number(share)} at {lag}"


def test_a_bounded_window_of_attention_is_marked(compared: Path) -> None:
    known, timing = (json.loads((compared / f"{name}.json").read_text()) for name in ("comparison", "timing"))
    plan = Plan(data=("",), models=("gru", "elman"), budget=Budget(6, "steps"), seeds=2)
    assert "steps back in each layer" not in html(plan, Store(compared, known, timing))
    known["settings"]["gru"] |= {"kind": "transformer", "model": {"window": 8, "num_layers": 2}}
    page = html(plan, Store(compared, known, timing))
    assert "The gru&#x27;s attention looks 7 steps back in each layer. A gradient passes from lag 8 on through" in page


def test_the_same_seed_gives_the_same_table(
    compared: Path, plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compare", str(plain_text), "--seeds", "2", *SMALL]
    assert command([*arguments, "-o", str(tmp_path / "again"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (tmp_path / "again" / "comparison.json").read_bytes() == (compared / "comparison.json").read_bytes()
    assert {one["model"] for one in report["models"]} == {"gru", "elman"}
    assert report["conclusion"][0].startswith(f"{report['models'][0]['model']} has the least loss")


def test_an_interrupted_comparison_ends_as_if_it_had_not_been(compared: Path, plain_text: Path, tmp_path: Path) -> None:
    plan = Plan(
        (str(plain_text),), ("gru", "elman"), budget=Budget(6, "steps"), parameters=5000, seeds=2,
        settings=("lanes=4", "k1=8"),
    )  # fmt: skip
    folder, asked = tmp_path / "comparison", 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked % 5 == 0

    stopped = 0
    while True:
        try:
            comparison.compare(plan, folder, resume=True, stop=stop)
            break
        except Stopped:
            stopped += 1
    assert stopped > 2
    assert (folder / "comparison.json").read_bytes() == (compared / "comparison.json").read_bytes()


def test_mingru_and_slstm_are_compared_and_go_on(
    plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(
        (str(plain_text),), ("mingru", "slstm"), budget=Budget(4, "steps"), parameters=20000,
        settings=("lanes=4", "k1=8"),
    )  # fmt: skip
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked in (3, 8)

    for _ in range(2):
        with pytest.raises(Stopped):
            comparison.compare(plan, tmp_path / "parts", resume=True, stop=stop)
    comparison.compare(plan, tmp_path / "parts", resume=True)
    arguments = ["--models", "mingru,slstm", "--steps", "4", "--parameters", "20000", *SMALL[-4:], "--json"]
    assert command(["compare", str(plain_text), "-o", str(tmp_path / "whole"), *arguments]) == 0
    whole = (tmp_path / "whole" / "comparison.json").read_bytes()
    assert (tmp_path / "parts" / "comparison.json").read_bytes() == whole
    known, report = json.loads(whole), json.loads(capsys.readouterr().out)
    assert {one["model"] for one in report["models"]} == {"mingru", "slstm"}
    for one in report["models"]:
        result = known["runs"][f"{one['model']}-1"]
        assert abs(one["parameters"] - 20000) <= 400
        assert one["loss"] == pytest.approx(min(loss for _, _, loss in result["curve"]), rel=1e-5)
        assert result["memory"]["gradient"][0] > 0


def test_models_are_as_large_as_the_geometric_mean_of_their_recipes(plain_text: Path, tmp_path: Path) -> None:
    sizes = {}
    for match in ("tokens", "parameters"):  # each model its recipe's size, and all the same
        plan = Plan(
            (str(plain_text),), ("elman", "lstm"), match=match, budget=Budget(1, "steps"),  # type: ignore[arg-type]
            settings=("lanes=4", "k1=8"),
        )  # fmt: skip
        with pytest.raises(Stopped):
            comparison.compare(plan, tmp_path / match, stop=lambda: True)
        known = json.loads((tmp_path / match / "comparison.json").read_text())
        sizes[match] = np.array([known["parameters"][model] for model in plan.models])
    assert sizes["tokens"][1] > 1.5 * sizes["tokens"][0]
    assert sizes["parameters"] == pytest.approx(np.sqrt(sizes["tokens"].prod()), rel=0.02)


def test_a_search_is_resumed_and_the_same(plain_text: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    arguments = ["compare", str(plain_text), "--trials", "2", *SMALL]
    assert command([*arguments, "-o", str(tmp_path / "one")]) == 0
    known = json.loads((tmp_path / "one" / "comparison.json").read_text())
    assert [[trial["factor"] for trial in trials] for trials in known["trials"].values()] == [
        [1.0, known["trials"]["gru"][1]["factor"]]
    ] * 2  # the same factors are tried for every model
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "elman-1")
    cut = known | {"trials": {"gru": known["trials"]["gru"][:1]}, "runs": {}}
    (tmp_path / "two" / "comparison.json").write_text(json.dumps(cut))
    assert command([*arguments, "-o", str(tmp_path / "two"), "--resume"]) == 0
    assert json.loads((tmp_path / "two" / "comparison.json").read_text()) == known
    # Several processes, whose search depends on the order in which trials end, were stopped: a trial lacks before
    # another, and one that has begun has another rate than is proposed now.
    cut = known | {"trials": known["trials"] | {"gru": known["trials"]["gru"][1:]}, "runs": {}}
    (tmp_path / "two" / "comparison.json").write_text(json.dumps(cut))
    begun = tmp_path / "two" / "trials" / "gru-0" / "config.yaml"
    begun.write_text(re.sub(r"learning_rate: \S+", "learning_rate: 0.5", begun.read_text()))
    assert command([*arguments, "-o", str(tmp_path / "two"), "--resume"]) == 0
    assert json.loads((tmp_path / "two" / "comparison.json").read_text()) == known
    assert "0.5" not in begun.read_text()


def test_an_older_search_goes_on(plain_text: Path, tmp_path: Path) -> None:
    """Its trials are in order and do not name their places."""
    plan = Plan((str(plain_text),), ("gru", "elman"), budget=Budget(6, "steps"), trials=2)
    store = open_store(tmp_path, plan, resume=False, overwrite=False)
    store.known["trials"] = {"gru": [{"factor": 1.0, "learning_rate": 0.1, "loss": 2.0}] * 2}
    store.save()
    trials = open_store(tmp_path, plan, resume=True, overwrite=False).known["trials"]
    assert [trial["place"] for trial in trials["gru"]] == [0, 1]


def test_without_optuna(plain_text: Path, tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "optuna":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    line = fails(["compare", plain_text, "-o", tmp_path / "x", "--trials", "1", *SMALL], 1)
    assert "pip install 'elman[compare]'" in line
    assert not (tmp_path / "x").exists()


def test_refusals(compared: Path, plain_text: Path, tmp_path: Path, fails: Fails) -> None:
    before = (compared / "comparison.json").read_bytes()
    begin: list[str | Path] = ["compare", plain_text, "-o", compared, "--seeds", "2", *SMALL]
    assert "go on with it (--resume)" in fails(begin, 2)
    assert "another seed" in fails([*begin, "--resume", "--seed", "9"], 2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    for flag in ("--overwrite", "--resume"):
        assert "is not empty" in fails(["compare", plain_text, "-o", tmp_path / "mine", flag, *SMALL], 2)
    assert "no such file" in fails(["compare", tmp_path / "none.txt", "-o", tmp_path / "x", *SMALL], 2)
    assert (compared / "comparison.json").read_bytes() == before
    assert not (tmp_path / "x").exists()


def test_only_what_is_of_the_comparison_is_overwritten(
    compared: Path, plain_text: Path, tmp_path: Path, contents: Contents, fails: Fails
) -> None:
    folder = shutil.copytree(compared, tmp_path / "comparison")
    for place in ("x-1", "elsewhere"):
        shutil.copytree(compared / "gru-1", tmp_path / place)
    notes = folder / "gru-1" / "model" / "notes.txt"
    notes.write_text("mine")
    shutil.copytree(compared / "gru-1", folder / "gru-77")  # that somebody trained there
    shutil.rmtree(folder / "gru-2")
    (folder / "gru-2").symlink_to(tmp_path / "elsewhere")
    (folder / "trials").symlink_to(tmp_path / "elsewhere")
    known = json.loads((folder / "comparison.json").read_text())
    known["plan"] |= {"models": ["../x", str(tmp_path / "x"), "elman", "gru"], "seeds": 5}
    (folder / "comparison.json").write_text(json.dumps(known))
    outside = {place: contents(tmp_path / place) for place in ("x-1", "elsewhere")}

    before = contents(folder)
    again = ["compare", plain_text, "-o", folder, "--overwrite", *SMALL]
    assert "notes.txt is not elman's" in fails(again, 2)
    assert contents(folder) == before
    notes.unlink()
    (folder / "gru-1" / "load.jsonl").unlink()
    (folder / "gru-1" / "load.jsonl").mkdir()
    (folder / "gru-1" / "load.jsonl" / "notes.txt").write_text("mine")
    before = contents(folder)
    assert "notes.txt is not elman's" in fails(again, 2)
    assert contents(folder) == before
    shutil.rmtree(folder / "gru-1" / "load.jsonl")
    assert command(list(map(str, again))) == 0
    assert {place: contents(tmp_path / place) for place in outside} == outside
    assert contents(folder / "gru-77") == contents(compared / "gru-1")
    for name in ("gru-2", "elman-2", "trials"):
        assert not os.path.lexists(folder / name)


@pytest.mark.parametrize(
    ("text", "arguments"), [("", []), ("ab", []), (None, ["--parameters", "7"])], ids=["empty", "short", "small"]
)
def test_a_comparison_goes_only_when_the_new_one_stands_ready(
    compared: Path, plain_text: Path, tmp_path: Path, contents: Contents, fails: Fails,
    text: str | None, arguments: list[str],
) -> None:  # fmt: skip
    folder = shutil.copytree(compared, tmp_path / "comparison")
    other = tmp_path / "other.txt"
    other.write_text(plain_text.read_text() if text is None else text)
    before = contents(folder)
    capsys_line = fails(
        ["compare", other, "-o", folder, "--overwrite", *SMALL, *arguments], 1 if text is not None else 2
    )
    assert capsys_line
    after = contents(folder)
    assert {name for name in before if not name.startswith("cache/")} <= after.keys()
    assert all(after[name] == before[name] for name in before if not name.startswith("cache/"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda known: known | {"runs": {"gru-1": {}}}, "comparison.json is damaged (runs.gru-1.loss: Field required)"),
        (lambda known: known | {"parameters": {"gru": {}}}, "is damaged (parameters.gru: Input should be a valid int"),
        (lambda known: known | {"parameters": {}}, "is damaged: no parameters of elman, gru"),
        (lambda known: known["runs"]["gru-1"]["blocks"].update(nats=[]) or known, "runs.gru-1.blocks"),
        (lambda known: known["runs"]["gru-1"]["blocks"].update(tokens=[0] * 99) or known, "runs.gru-1.blocks"),
        (lambda known: known["runs"]["gru-1"]["memory"].update(horizon=[]) or known, "runs.gru-1.memory.horizon"),
        (lambda known: known["runs"]["gru-1"]["memory"].update(gradient=[]) or known, "runs.gru-1.memory"),
        (lambda known: known["runs"]["gru-1"]["memory"].update(lags=10**30) or known, "runs.gru-1.memory.lags"),
        (lambda known: known["runs"]["gru-1"]["memory"].pop("gradient") and known, "runs.gru-1.memory"),
        (lambda known: known["parameters"].update(gru=10**400) or known, "parameters.gru"),
        (lambda known: known["plan"].update(seeds={}) or known, "plan.seeds"),
        (lambda known: known["runs"]["gru-1"].update(bits_per_character="few") or known, "runs.gru-1.bits_per_char"),
        (lambda known: known["runs"]["gru-1"].update(score_terms={"a": [[1, 2], [1]]}) or known, "gru-1.score_terms.a"),
        (lambda known: known["runs"]["gru-1"].update(score_terms={"a": [[-1, 2]]}) or known, "gru-1.score_terms.a"),
        (lambda known: known["runs"]["gru-1"].update(score_terms={"a": []}) or known, "gru-1.score_terms.a"),
    ],
)
def test_a_damaged_comparison_is_told_of(
    compared: Path, plain_text: Path, tmp_path: Path, fails: Fails, change: Callable[[Any], Any], message: str
) -> None:
    folder = shutil.copytree(compared, tmp_path / "comparison")
    known = change(json.loads((folder / "comparison.json").read_text()))
    (folder / "comparison.json").write_text(json.dumps(known))
    line = fails(["compare", plain_text, "-o", folder, "--resume", "--seeds", "2", *SMALL], 1)
    assert message in line
    assert "--overwrite" in line


def test_without_its_clock_a_comparison_still_has_its_results(
    compared: Path, plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(compared, tmp_path / "comparison")
    (folder / "timing.json").unlink()
    again = ["compare", str(plain_text), "-o", str(folder), "--resume", "--seeds", "2", *SMALL]
    assert command(again) == 0
    out = capsys.readouterr().out
    assert " has the least loss, " in out
    assert "seconds" not in out
    assert command([*again, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["timing"] == []


def test_a_deeply_nested_comparison_is_told_of(compared: Path, plain_text: Path, tmp_path: Path, fails: Fails) -> None:
    folder = shutil.copytree(compared, tmp_path / "comparison")
    (folder / "comparison.json").write_text('{"plan": ' + '{"a":' * 99999)
    assert "is damaged" in fails(["compare", plain_text, "-o", folder, "--resume", *SMALL], 1)


PAIRS = [
    "--models", "gru,elman", "--steps", "4", "--parameters", "9000", "--set", "batch_tokens=64",
    "--set", "embedding_size=8", "--set", "validation_sentences=0",
]  # fmt: skip


@pytest.fixture(scope="module")
def pair_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Sources and targets, to learn from and to validate on."""
    folder, random = tmp_path_factory.mktemp("pairs"), np.random.default_rng(4)
    files = []
    for part, count in (("train", 60), ("valid", 25)):
        words = ["".join(random.choice(list("abc"), 4)) for _ in range(count)]
        for side, lines in (("source", words), ("target", [word[::-1] for word in words])):
            files.append(str(folder / f"{part}.{side}"))
            Path(files[-1]).write_text("".join(f"{line}\n" for line in lines))
    return files


def test_pairs_are_compared_as_texts_are(
    pair_files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources, targets, valid, valid_targets = pair_files
    arguments = ["compare", sources, targets, "--valid", valid, valid_targets, *PAIRS, "-o", str(tmp_path / "c")]
    assert command([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    known = json.loads((tmp_path / "c" / "comparison.json").read_text())
    assert known["data"] == {
        "training_pairs": 60, "validation_pairs": 25, "source_vocabulary": 5, "target_vocabulary": 5
    }  # fmt: skip
    assert all(abs(count - 9000) <= 180 for count in known["parameters"].values())
    for result in known["runs"].values():
        assert result["blocks"]["tokens"] == [5.0] * 25  # a block is a pair: four letters and its end
        assert result["loss"] == pytest.approx(min(loss for _, _, loss in result["curve"]), rel=1e-5)
        assert "memory" not in result
        assert "bits_per_character" not in result
    assert {one["interval_over"] for one in [*report["models"], *report["verdicts"]]} == {"pairs"}
    assert not {"horizon", "left", "bits_per_character"} & report["models"][0].keys()
    assert "decoding" not in report["timing"][0]
    for one in report["models"]:
        assert one["exact_match"] == known["runs"][f"{one['model']}-1"]["exact_match"]
        assert 0 <= one["exact_match"] <= 100
    page = (tmp_path / "c" / "report.html").read_text()
    assert "Loss on the validation pairs" in page
    assert "Decoding speed" not in page
    assert "How far a loss reaches back" not in page

    assert command([*arguments, "--resume", "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert "bits/char" not in out
    assert "% exact" in out
    assert "95 % over 2 seeds" in out
    assert command([*arguments, "--resume", "--seeds", "2", "--task", "language-modelling"]) == 2


def test_an_older_comparison_goes_on(compared: Path, plain_text: Path, tmp_path: Path) -> None:
    """Before pairs were compared, a plan named one text, and no task."""
    folder = shutil.copytree(compared, tmp_path / "comparison")
    known = json.loads((folder / "comparison.json").read_text())
    del known["plan"]["task"]
    known["plan"] |= {"data": str(plain_text), "valid": None}
    (folder / "comparison.json").write_text(json.dumps(known))
    assert command(["compare", str(plain_text), "-o", str(folder), "--seeds", "2", *SMALL, "--resume"]) == 0
    assert (folder / "comparison.json").read_bytes() == (compared / "comparison.json").read_bytes()
