"""`elman.fit`: data of every form, settings, budgets, folders, models of one's own, and other runs' weights."""

from __future__ import annotations

import contextlib
import copy
import gc
import json
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import elman
from elman import distributed, fitting
from elman.cli import run as command
from elman.data.pairs import open_pairs
from elman.errors import UserError
from elman.models.own import OwnLanguageModel
from elman.state import leaves
from elman.train.events import Finished, Resumed, Step, Validated

TEXT = "the cat sat on a mat and the dog ran to the cat.\n" * 60
PAIRS = [(f"{a} {b}", f"{b} {a}") for a in "abcdefg" for b in "hijklmn"]
SIZES: dict[str, Any] = {"hidden_size": 8, "embedding_size": 6, "lanes": 4, "k1": 8}
PAIR_SIZES: dict[str, Any] = {"hidden_size": 8, "embedding_size": 6, "optimizer": "adamw"}


def small(data: Any = TEXT, targets: Any = None, **options: Any) -> elman.Run:
    return elman.fit(data, targets, **{"budget": "6 steps", "progress": False, **SIZES, **options})


def weights(run: elman.Run) -> list[Tensor]:
    return list(run.model.state_dict().values())


def equal(a: elman.Run, b: elman.Run) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


# Data


def test_a_text_a_path_and_a_command_give_the_same_run(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    sizes = [f"--set={name}={value}" for name, value in SIZES.items()]
    assert command(["train", str(path), "-o", str(tmp_path / "run"), "--steps", "6", *sizes]) == 0
    commanded = elman.load(tmp_path / "run")
    assert equal(small(TEXT), commanded)
    assert equal(small(path), commanded)
    assert equal(small(str(path)), commanded)


def test_documents(tmp_path: Path) -> None:
    run = small(["the cat sat on a mat.\n", "a dog ran."] * 30, out=tmp_path / "run")
    assert run.tokenizer.eod is not None
    lines = (tmp_path / "run" / "given" / "data.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines[:2]] == ["the cat sat on a mat.\n", "a dog ran."]


@pytest.mark.parametrize("form", ["pairs", "lists", "files"])
def test_pairs(form: str, tmp_path: Path) -> None:
    sources, targets = ([pair[side] for pair in PAIRS] for side in (0, 1))
    data: Any = PAIRS if form == "pairs" else sources
    others: Any = None if form == "pairs" else targets
    if form == "files":
        data, others = tmp_path / "a", tmp_path / "b"
        data.write_text("\n".join(sources), encoding="utf-8")
        others.write_text("\n".join(targets), encoding="utf-8")
    run = elman.fit(data, others, budget="3 steps", progress=False, out=tmp_path / "run", **PAIR_SIZES)
    assert run.task.name == "translation"
    settings = run.settings
    assert settings is not None
    files = [file for file in (settings.data.source, settings.data.target) if file]
    assert [(pair.source, pair.target) for pair in open_pairs(files).pairs()] == PAIRS  # type: ignore[union-attr]


def test_validation_in_memory(tmp_path: Path) -> None:
    run = small(valid="the dog sat.\n" * 9, out=tmp_path / "run")
    assert run.metrics.validations["tokens"][0] == 9 * 13 - 1
    sources, targets = ([pair[side] for pair in PAIRS[:5]] for side in (0, 1))
    settings = elman.fit(
        PAIRS, valid=(sources, targets), budget="2 steps", progress=False, out=tmp_path / "pairs", **PAIR_SIZES
    ).settings
    assert settings is not None
    lines = Path(settings.data.valid).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["source"] for line in lines] == sources


@pytest.mark.parametrize(
    ("data", "targets", "message"),
    [
        (None, None, "data: expected a path, a named source, a text.*got nothing"),
        (3, None, "got int"),
        ([], None, "got an empty list"),
        ([1, "a"], None, "got list"),
        ([("a", "b", "c")], None, "got list"),
        (["a", "b"], ["a"], "targets: expected as many as there are sources, 2, got 1"),
        ("a\nb", "c\nd", "got str and str"),
        (Path("nowhere.txt"), None, "no such file or named source: nowhere.txt"),
        ("", None, "it is empty"),
        ("a\ud800b\n", None, "expected text that UTF-8 can spell"),
        (TEXT, "also.txt", "got str and str"),
    ],
)
def test_data_that_are_none(data: Any, targets: Any, message: str, temporary: Path) -> None:
    with pytest.raises(UserError, match=message) as error:
        small(data, targets)
    assert "\n" not in str(error.value)
    assert list(temporary.iterdir()) == []


def test_a_slip_in_a_name_is_said() -> None:
    message = "there is no file or named source called 'bok.txt': it is taken for the text itself"
    run = small()
    for use in (lambda name: small(name), run.evaluate, run.inspect):
        with pytest.warns(UserWarning, match=message), contextlib.suppress(UserError):
            use("bok.txt")


# Settings


def test_settings_by_name_in_sections_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "kind: gru\nmodel: {hidden_size: 6}\ntrain: {seed: 5, clip: none}\nbudget: {amount: 2, unit: steps}"
    )
    options: dict[str, Any] = {"progress": False, "embedding_size": 6, "lanes": 4, "k1": 8}
    for config in (file, {"kind": "gru", "model": {"hidden_size": 6}, "train": {"seed": 5, "clip": "none"}}):
        budget = {} if config is file else {"budget": "2 steps"}
        settings = elman.fit(TEXT, config=config, train={"learning_rate": 1e-3}, **budget, **options).settings
        assert settings is not None
        assert (settings.kind, settings.model.hidden_size, settings.train.seed) == ("gru", 6, 5)
        assert (settings.train.clip, settings.train.learning_rate, settings.budget.amount) == ("none", 1e-3, 2)
    settings = elman.fit(TEXT, config=file, model="lstm", seed=1, budget="1 step", **options).settings
    assert settings is not None
    assert (settings.kind, settings.train.seed, settings.budget.amount) == ("lstm", 1, 1)  # said, though the defaults


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden_size": 3}, "no setting called 'hiden_size' for model='lstm'; did you mean 'hidden_size'?"),
        ({"train": {"clipp": "none"}}, "no setting called 'clipp'"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"model": "lstn"}, "did you mean 'lstm'?"),
        ({"task": "painting"}, "'painting'"),
        ({"budget": "soon"}, "budget: expected a time such as 90s"),
        ({"budget": "0 steps"}, "budget: expected more than 0"),
        ({"budget": "1.5 steps"}, "budget: expected a time"),
        ({"budget": 60}, "got 60"),
        ({"targets": ["a"]}, "got str and list"),
        ({"config": {"budget": "soon"}, "budget": None}, "budget: expected a time such as 90s"),
        ({"model": 3}, "model: no kind called '3'"),
        ({"model": {"hiden_size": 3}}, "did you mean 'hidden_size'?"),
        ({"start": 3}, "start: expected a run, or the folder of one, got int"),
        ({"resume": True, "overwrite": True}, "resume and overwrite exclude each other"),
    ],
)
def test_settings_that_are_none(options: dict[str, Any], message: str, temporary: Path) -> None:
    with pytest.raises(UserError) as error:
        small(**options)
    assert message in str(error.value)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [{"budget": {"amount": 2, "unit": "steps"}}, {"config": {"budget": "2 steps"}},
     {"budget": "2 steps", "model": {"hidden_size": 6}}],
)  # fmt: skip
def test_budgets_and_models_as_mappings(options: dict[str, Any]) -> None:
    run = elman.fit(TEXT, progress=False, embedding_size=6, lanes=4, k1=8, **options)
    settings = run.settings
    assert settings is not None
    assert str(settings.budget) == "2 steps"
    assert settings.kind == "lstm"
    assert "model" not in options or settings.model.hidden_size == 6


def test_a_training_that_is_stopped_before_its_first_step(temporary: Path) -> None:
    with pytest.raises(UserError, match="stopped before its first step: nothing was trained"):
        list(elman.training(TEXT, budget="4 steps", stop=lambda: True, **SIZES))
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("model", [lambda vocab_size: None, nn.Identity()], ids=["nothing", "no parameters"])
def test_what_is_no_model_of_ones_own(model: Any) -> None:
    with pytest.raises(UserError, match="model: expected a torch module with parameters"):
        elman.fit(TEXT, model=model, budget="2 steps", progress=False)


@pytest.mark.parametrize(
    ("text", "budget"),
    [("8s", "8 seconds"), ("2m", "120 seconds"), ("1h30m", "5400 seconds"), ("3 epochs", "3 epochs"),
     ("0.5 epochs", "0.5 epochs"), ("1 epoch", "1 epoch"), ("200 steps", "200 steps"), ("200steps", "200 steps")],
)  # fmt: skip
def test_budgets(text: str, budget: str) -> None:
    assert str(fitting.parse_budget(text)) == budget


# Folders


def test_a_run_without_a_folder_leaves_nothing_behind(temporary: Path) -> None:
    run = small()
    assert list(temporary.iterdir()) == [run.path.parent]
    assert "<b>unnamed</b>" in run._repr_html_()
    saved = run.save(temporary.parent / "named")
    assert (saved.path / "model" / "README.md").read_text(encoding="utf-8").startswith("# named\n")
    assert run.evaluate("the cat\n" * 9)["loss"] > 0
    assert list(temporary.iterdir()) == [run.path.parent]
    del run
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_training_that_is_left_leaves_nothing_behind(temporary: Path) -> None:
    events = elman.training(TEXT, budget="9 steps", **SIZES)
    assert isinstance(next(events), fitting.Prepared)
    assert isinstance(next(events), Step)
    events.close()
    assert list(temporary.iterdir()) == []


def test_the_events_of_a_training() -> None:
    events = list(elman.training(TEXT, budget="4 steps", **SIZES))
    assert isinstance(events[0], fitting.Prepared)
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4]
    assert any(isinstance(event, Validated) for event in events)
    assert isinstance(events[-2], Finished)
    assert isinstance(events[-1], fitting.Fitted)
    assert isinstance(events[-1].run, elman.Run)
    assert not events[-1].run.model.training


def test_a_run_from_memory_goes_on_exactly_by_hand_and_by_command(tmp_path: Path) -> None:
    whole = small(TEXT, budget="8 steps", out=tmp_path / "whole")
    for name in ("python", "command"):
        folder = tmp_path / name
        steps: list[int] = []

        def stop(steps: list[int] = steps) -> bool:
            return len(steps) == 3

        for event in elman.training(TEXT, budget="8 steps", out=folder, stop=stop, **SIZES):
            steps += [event.step] if isinstance(event, Step) else []
        moved = folder.rename(tmp_path / f"{name} moved")  # it has all that it needs
        if name == "python":
            again = list(elman.training(TEXT, budget="8 steps", out=moved, resume=True))
            assert [event.step for event in again if isinstance(event, Resumed)] == [3]
        else:
            assert command(["train", str(moved / "given" / "data.txt"), "-o", str(moved), "--resume"]) == 0
        assert equal(elman.load(moved), whole)
        settings = elman.load(moved).settings
        assert settings is not None
        assert Path(settings.data.source).read_text(encoding="utf-8") == TEXT


def test_other_data_do_not_go_on(tmp_path: Path) -> None:
    small(out=tmp_path / "run")
    with pytest.raises(UserError, match="is not the text that the run began with"):
        small(TEXT + "and more", out=tmp_path / "run", resume=True)
    with pytest.raises(UserError, match="already exists"):
        small(out=tmp_path / "run")


def test_a_later_attempt_of_a_launch_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the command says. A run of the same attempt or of another launch is overwritten, or not, as it says."""
    resumed = []
    attempts = (("one", "1", 3), ("one", "1", 4), ("one", "2", 6), ("two", "3", 6), ("two", "4", 8))
    for launch, attempt, steps in attempts:
        monkeypatch.setattr(distributed, "ALONE", distributed.Ranks(launch=launch, attempt=attempt))
        events = elman.training(TEXT, budget=f"{steps} steps", out=tmp_path / "run", overwrite=True, **SIZES)
        resumed.append([event.step for event in events if isinstance(event, Resumed)])
    assert resumed == [[], [], [4], [], [6]]
    monkeypatch.setattr(distributed, "ALONE", distributed.Ranks(launch="three", attempt="5"))
    with pytest.raises(UserError, match="already exists"):
        small(out=tmp_path / "run")


def test_overwriting_replaces_the_data(tmp_path: Path) -> None:
    small(valid="the dog\n" * 9, out=tmp_path / "run")
    small("a cat.\n" * 300, out=tmp_path / "run", overwrite=True)
    given = tmp_path / "run" / "given"
    assert [path.name for path in given.iterdir()] == ["data.txt"]
    assert given.joinpath("data.txt").read_text(encoding="utf-8") == "a cat.\n" * 300
    run = small(given / "data.txt", out=tmp_path / "run", overwrite=True)  # its own data are not removed under it
    assert given.joinpath("data.txt").exists()
    assert run.settings is not None


def test_a_loss_that_is_never_a_number(temporary: Path) -> None:
    class Lost(Plain):
        def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
            logits, state = super().forward(tokens, state)
            return logits * torch.nan, state

    with pytest.raises(UserError, match=r"no validation of .* had a loss that is a finite number"):
        elman.fit(TEXT, model=Lost, budget="5 steps", progress=False, lanes=4, k1=8)
    assert list(temporary.iterdir()) == []


# Models of one's own


class Plain(nn.Module):
    """The state contract and nothing else, on torch's own layers."""

    def __init__(self, vocab_size: int, size: int = 8) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, size)
        self.rnn = nn.GRU(size, size, batch_first=True)
        self.output = nn.Linear(size, vocab_size)

    def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = None if state is None else state.transpose(0, 1).contiguous()
        hidden, h = self.rnn(self.embedding(tokens), h)
        return self.output(hidden), h.transpose(0, 1)


@pytest.mark.parametrize("what", ["class", "module", "function"])
def test_a_model_of_ones_own(what: str, tmp_path: Path) -> None:
    vocabulary = len(set(TEXT)) + 1
    module = Plain(vocabulary)
    before = [parameter.clone() for parameter in module.parameters()]
    given: Any = {"class": Plain, "module": module, "function": lambda vocab_size: Plain(vocab_size)}[what]
    run = elman.fit(
        TEXT, model=given, budget="12 steps", progress=False, out=tmp_path / "run", lanes=4, k1=8, learning_rate=0.01
    )
    losses = run.metrics.loss
    assert losses[-3:].mean() < losses[:3].mean()
    if what == "module":
        assert run.model.module is module
        assert not any(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    text, _ = run.generate("the ", tokens=5, temperature=0)
    assert len(text) == 5
    again = elman.load(tmp_path / "run", model=Plain)
    assert equal(again, run)
    assert again.generate("the ", tokens=5, temperature=0)[0] == text
    assert again.evaluate(TEXT[:300])["loss"] == pytest.approx(run.evaluate(TEXT[:300])["loss"])
    with pytest.raises(UserError, match=r"its model is somebody's own; elman\.load"):
        elman.load(tmp_path / "run")
    with pytest.raises(UserError, match="holds another model's weights"):
        elman.load(tmp_path / "run", model=lambda vocab_size: Plain(vocab_size, 9))
    with pytest.raises(UserError, match="looks at elman's own models"):
        run.inspect()


def test_muon_needs_to_know_the_matrices() -> None:
    with pytest.raises(UserError, match=r"optimizer: Plain has no stacked_maps\(\) for muon; use adamw"):
        elman.fit(TEXT, model=Plain, budget="2 steps", progress=False, optimizer="muon", lanes=4, k1=8)


def test_a_model_of_ones_own_goes_on_exactly(tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": Plain, "lanes": 4, "k1": 8, "progress": False}
    data = ["the cat sat on a mat.\n", "a dog ran to the cat."] * 40
    whole = elman.fit(data, budget="8 steps", out=tmp_path / "whole", checkpoint_every=3, **options)
    options.pop("progress")
    for event in elman.training(data, budget="8 steps", out=tmp_path / "run", checkpoint_every=3, **options):
        if isinstance(event, Step) and event.step == 4:
            break  # what came after the checkpoint is lost
    with pytest.raises(UserError, match="a model of one's own is given in Python"):
        elman.fit(data, out=tmp_path / "run", resume=True, progress=False)
    assert equal(elman.fit(data, out=tmp_path / "run", resume=True, progress=False, model=Plain), whole)


@pytest.mark.parametrize("lengths", [None, [5, 0, 7]])
def test_resets_and_lengths_of_a_model_that_knows_none(lengths: list[int] | None) -> None:
    torch.manual_seed(1)
    model = OwnLanguageModel(Plain(9), 9)
    tokens = torch.randint(9, (3, 7))
    resets = torch.rand(3, 7) < 0.3
    begin = model.read(tokens[:, :2])[1]
    logits, state = model(tokens, begin, resets=resets, lengths=lengths)
    for row in range(3):
        h = begin[row : row + 1]
        length = 7 if lengths is None else lengths[row]
        for t in range(length):
            h = torch.zeros_like(h) if resets[row, t] else h
            one, h = model.module(tokens[row : row + 1, t : t + 1], h)
            torch.testing.assert_close(logits[row, t], one[0, 0])
        torch.testing.assert_close(state[row : row + 1], h)
    assert all(not leaf.any() for leaf in leaves(model.initial_state(2)))


@pytest.mark.parametrize(
    "returned",
    [lambda logits, h: logits, lambda logits, h: (logits[..., 1:], h), lambda logits, h: (logits, None),
     lambda logits, h: (logits, h[:1])],
)  # fmt: skip
def test_a_module_that_is_no_model(returned: Callable[..., Any]) -> None:
    class Wrong(Plain):
        def forward(self, tokens: Tensor, state: Tensor | None = None) -> Any:
            return returned(*super().forward(tokens, state))

    with pytest.raises(UserError, match=r"model\(tokens, state\): expected logits \(B, T, "):
        elman.fit(TEXT, model=Wrong, budget="2 steps", progress=False, lanes=4, k1=8)


# Another run's weights


def test_fine_tuning_begins_with_the_weights_of_a_run(tmp_path: Path) -> None:
    first = small(out=tmp_path / "first", model="gru", tokenizer="word")
    other = "the dog sat on the mat .\n" * 60
    events = elman.training(other, start=first, budget="2 steps", lanes=4, k1=8, out=tmp_path / "second")
    prepared = next(events)
    assert isinstance(prepared, fitting.Prepared)
    started = prepared.training.model.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(started.values(), weights(first), strict=True))
    run = list(events)[-1].run  # type: ignore[union-attr]
    assert run.tokenizer.fingerprint == first.tokenizer.fingerprint
    assert (run.settings.kind, run.settings.data.tokenizer, run.model.hidden_size) == ("gru", "word", 8)
    assert run.settings.start == str(first.path)
    assert not equal(run, first)
    again = small(config=tmp_path / "second" / "config.yaml", embedding_size=6)  # its settings, but not its beginning
    assert again.settings is not None
    assert (again.settings.start, again.settings.kind) == (None, "gru")


def test_fine_tuning_by_command_and_going_on_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(out=tmp_path / "first")
    data = tmp_path / "other.txt"
    data.write_text("a dog.\n" * 200, encoding="utf-8")  # whose own vocabulary would be another
    arguments = ["train", str(data), "--from", str(tmp_path / "first"), "--set", "lanes=4", "--set", "k1=8"]
    assert command([*arguments, "-o", str(tmp_path / "whole"), "--steps", "6"]) == 0
    whole = elman.load(tmp_path / "whole")
    assert equal(small(data, start=tmp_path / "first", embedding_size=6), whole)
    assert command([*arguments, "-o", str(tmp_path / "run"), "--steps", "3"]) == 0
    for path in (tmp_path / "run" / "cache").iterdir():
        path.unlink()
    assert command(["train", str(data), "-o", str(tmp_path / "run"), "--steps", "6", "--resume"]) == 0
    assert elman.load(tmp_path / "run").tokenizer.fingerprint == whole.tokenizer.fingerprint
    capsys.readouterr()
    assert command([*arguments, "-o", str(tmp_path / "new"), "--steps", "3", "--tokenizer", "word"]) == 2
    assert "tokenizer: the vocabulary is that of the run" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_pairs_are_no_text_unless_one_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(out=tmp_path / "first")
    data, out = tmp_path / "pairs.tsv", tmp_path / "run"
    data.write_text("a dog\ta dog\na dog\ta\n" * 90, encoding="utf-8")
    arguments = ["train", str(data), "--from", str(tmp_path / "first"), "--steps", "2", "-o", str(out)]
    arguments += ["--set", "lanes=4", "--set", "k1=8"]
    assert command(arguments) == 2
    message = f"is a run of language-modelling, and the data look like translation: {data} holds pairs; --task lang"
    assert message in capsys.readouterr().err
    assert not out.exists()
    assert command([*arguments, "--task", "language-modelling"]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gru"}, "is a run of another model: expected lstm, got gru"),
        ({"data": PAIRS}, "data: expected data for language-modelling, got list"),
        ({"task": "translation"}, "is a run of another task: expected language-modelling, got translation"),
        ({"hidden_size": 9}, "holds another model's weights"),
        ({"vocab_size": 9}, "vocab_size: the vocabulary is that of the run"),
        ({"data": "ЩЖФЫЙ" * 100}, "expected text in the tokens of the run that it begins with"),
    ],
)
def test_what_does_not_begin_with_a_run(options: dict[str, Any], message: str, temporary: Path) -> None:
    first = small()
    with pytest.raises(UserError, match=message) as error:
        elman.fit(options.pop("data", TEXT), start=first, budget="2 steps", progress=False, **options)
    assert "\n" not in str(error.value)
    assert list(temporary.iterdir()) == [first.path.parent]


def test_fine_tuning_a_translator_and_a_model_of_ones_own() -> None:
    first = elman.fit(PAIRS, budget="3 steps", progress=False, **PAIR_SIZES)
    second = elman.fit(PAIRS[::-1], start=first, budget="2 steps", progress=False, optimizer="adamw")
    assert second.source_tokenizer.fingerprint == first.source_tokenizer.fingerprint
    own = elman.fit(TEXT, model=Plain, budget="2 steps", progress=False, lanes=4, k1=8)
    kept = [tensor.clone() for tensor in weights(own)]
    tuned = elman.fit(TEXT, start=own, budget="2 steps", progress=False, lanes=4, k1=8)
    assert not equal(tuned, own)
    assert all(torch.equal(a, b) for a, b in zip(kept, weights(own), strict=True))


# The run as an object


def test_a_run_is_copied_hashed_and_pickled() -> None:
    run = small()
    shallow, deep = copy.copy(run), copy.deepcopy(run)
    assert shallow.model is run.model
    assert deep.model is not run.model
    assert equal(deep, run)
    assert {run: 1}[run] == 1
    settings = run.settings
    assert settings is not None
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert type(settings.model).__name__ == "LSTMSettings"
    with pytest.raises(AttributeError, match="a run of language-modelling has no attribute 'source_tokenizer'"):
        _ = run.source_tokenizer


def test_a_run_does_not_go_on_from_another_start(tmp_path: Path) -> None:
    start, other = small(out=tmp_path / "start"), small(out=tmp_path / "other")
    small(out=tmp_path / "run", start=start)
    assert small(out=tmp_path / "run", start=tmp_path / "start", resume=True, budget="7 steps").metrics.step[-1] == 7
    for folder in ("run", "other"):
        with pytest.raises(UserError, match="was made with another start"):
            small(out=tmp_path / folder, start=other if folder == "run" else start, resume=True)


def test_a_model_in_train_mode_is_read_without_dropout() -> None:
    run = small(dropout_output=0.5, dropout_hidden=0.5)
    uses: dict[str, Callable[[], Any]] = {
        "evaluate": lambda: run.evaluate(TEXT)["loss"],
        "generate": lambda: run.generate("the ", tokens=20, seed=1)[0],
        "inspect": lambda: run.inspect(TEXT, parts="gates").lines,
    }
    expected = {name: use() for name, use in uses.items()}
    run.model.train()
    assert {name: use() for name, use in uses.items()} == expected
    assert all(module.training for module in run.model.modules())
    pairs = elman.fit(PAIRS, budget="3 steps", progress=False, dropout=0.5, **PAIR_SIZES)
    translated = pairs.predict([source for source, _ in PAIRS])
    pairs.model.train()
    assert pairs.predict([source for source, _ in PAIRS]) == translated
    assert pairs.model.training


def test_what_is_no_input() -> None:
    run = small()
    with pytest.raises(UserError, match="prompt: expected a text, got int"):
        run.generate(3)  # type: ignore[arg-type]
    for state in (torch.zeros(1), torch.zeros(1, 3), (torch.zeros(1, 3),), "state"):
        with pytest.raises(
            UserError, match="state: expected the state that `generate` or the model returned, of one row"
        ):
            run.generate("t", state=state)
    pairs = elman.fit(PAIRS, budget="1 steps", progress=False, **PAIR_SIZES)
    with pytest.raises(UserError, match=r"inputs: expected a text or texts, .* got int"):
        pairs.predict(3)  # type: ignore[arg-type]


def test_the_card_shows_the_validation_of_the_weights_that_the_run_holds(tmp_path: Path) -> None:
    run = elman.fit(PAIRS, budget="4 steps", progress=False, metric="accuracy", out=tmp_path / "run", **PAIR_SIZES)
    lines = [
        {"step": 2, "validation": {"loss": 0.9, "accuracy": 0.8}, "best": -0.8},
        {"step": 4, "validation": {"loss": 0.1, "accuracy": 0.2}, "best": -0.8},
    ]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run.facts["best validation loss"] == "0.9000 nats a token"
    assert run.facts["trained on"] == "data in memory"


def test_data_in_memory_are_told_as_such() -> None:
    run, pairs = small(), elman.fit(PAIRS, budget="1 step", progress=False, **PAIR_SIZES)
    for found in (run.inspect(TEXT, parts="gates"), run.inspect(parts="gates")):
        assert "data in memory" in str(found.numbers["text"])
        assert "elman-" not in str(found.numbers["text"])
        assert "data in memory" in found.html()
    for found in (pairs.inspect(PAIRS, parts="clipping"), pairs.inspect(parts="clipping")):
        assert "data in memory" in found.numbers["data"]
    for use in (run.evaluate, run.inspect, small):
        with pytest.raises(UserError, match="data in memory") as error:
            use("\n")
        assert "elman-" not in str(error.value)
