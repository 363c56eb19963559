"""A comparison from its plan to its results: sizes, learning rates, trainings, measurements."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from elman import environment, run_folders
from elman.compare import matching
from elman.compare.ongoing import Ongoing
from elman.compare.plan import Plan
from elman.compare.search import check_optuna, search_factor
from elman.compare.sharing import Shared
from elman.compare.store import Store, open_store
from elman.compare.training import TellStage, measured_training, tree_of_training
from elman.compare.working import collect, settings_of, work, work_in_processes
from elman.errors import UserError
from elman.inspection.inspect import shape
from elman.tasks import TASKS
from elman.tasks import configuration as config
from elman.tasks.configuration import Settings
from elman.tasks.exchange import Say
from elman.tasks.sizing import check_ram
from elman.wording import percent


def compare(
    plan: Plan,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    storage: str | None = None,
    processes: int = 1,
    say: Say = lambda line: None,
    progress: TellStage = lambda name, done, text: None,
    stop: Callable[[], bool] = lambda: False,
) -> Store:
    """Train and measure every model, or what an earlier session left of the trainings.

    Models train one after another, seed by seed, so that each has the whole machine. Or else several processes share
    the trainings: so many of this machine, and all that were given the same plan and `storage`, see `sharing.Shared`.

    Raises:
        Stopped: `stop()` returned true; everything is saved.
        UserError: data, settings or folder are not usable.

    >>> from elman.compare import Plan
    >>> from elman.train import parse_budget
    >>> _ = Path("book.txt").write_text("to be or not to be, that is the question: " * 60)
    >>> plan = Plan(("book.txt",), ("gru", "elman"), budget=parse_budget("2 steps"), parameters=5000)
    >>> store = compare(plan, Path("runs/comparison"))
    >>> sorted(store.known["runs"])
    ['elman-1', 'gru-1']
    """
    if plan.trials or storage or processes > 1:
        check_optuna("trials of learning rates" if plan.trials else "comparisons by several processes")
    task = TASKS[plan.task]
    task.check(config.build(plan.tree(plan.models[0])))
    store = open_store(folder, plan, resume=resume, overwrite=overwrite)
    ongoing = Ongoing(plan, store, say, progress, stop)
    if storage or processes > 1:
        _share(ongoing, storage, processes, overwrite)
        return store
    _prepare(ongoing)
    settings = settings_of(plan, store.known)
    factors = {model: search_factor(ongoing, model, settings[model]) for model in plan.models}
    trainings = plan.trainings()
    for number, (name, (model, seed)) in enumerate(trainings.items(), start=1):
        if name in store.known["runs"]:
            continue
        stage = f"{model}, seed {seed} ({number} of {len(trainings)})"
        tree = tree_of_training(settings[model], seed, factors[model])
        result, timing = measured_training(tree, folder / name, stop, partial(progress, stage))
        store.known["runs"][name] = {"model": model, "seed": seed, **result}
        store.timing["runs"][name] = timing
        store.save()
        speed, others = timing["training_tokens_per_second"], timing["others_share"]
        besides = "" if others is None else f", other work's share of the processor {percent(others)}"
        say(f"{stage}: {result['loss']:.4f} {task.loss_unit}, {speed:,.0f} {task.target}s/s{besides}")
    store.save()
    return store


def _share(ongoing: Ongoing, storage: str | None, processes: int, overwrite: bool) -> None:
    plan, store = ongoing.plan, ongoing.store
    with tempfile.TemporaryDirectory(prefix="elman-") as made:  # the results lie in the comparison's folder
        shared = Shared(storage or f"{made}/journal", plan)
        with shared.turn(ongoing.stop):
            if (known := shared.known) is None:
                with environment.torch_threads(max(1, environment.cores() // processes)):
                    _prepare(ongoing)
            elif overwrite:
                what = f"{storage} holds this comparison"
                raise UserError(what, remedy="join it without --overwrite, or choose another --storage", exit_code=2)
            elif not store.known["settings"]:
                store.known |= {part: known[part] for part in ("settings", "parameters", "data")}
            elif settings_of(plan, store.known) != settings_of(plan, known):
                what = f"{storage} holds this comparison with other settings than {store.folder}"
                raise UserError(what, remedy="choose another --storage, or join it with another -o", exit_code=2)
            shared.publish(store.known)
        try:
            if processes > 1:
                work_in_processes(ongoing, shared, processes)
            else:
                work(ongoing, shared)
        finally:  # a journal that was made here is gone afterwards
            collect(plan, store, shared)


def _prepare(ongoing: Ongoing) -> None:
    """Decide what an earlier session has not decided."""
    store = ongoing.store
    if not store.known["settings"]:
        with _made_for_nothing(store.folder):
            run_folders.unlink_cache(store.folder)
            _size(ongoing)
            store.replace()
            store.save()


@contextmanager
def _made_for_nothing(folder: Path) -> Iterator[None]:
    """Where no comparison comes to be, remove the cache and the folders that were made for the comparison."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        if made:
            shutil.rmtree(folder / "cache", ignore_errors=True)
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()
        raise


def _size(ongoing: Ongoing) -> None:
    """Decide every model's settings, once for all its seeds."""
    plan, store, say, progress = ongoing.plan, ongoing.store, ongoing.say, ongoing.progress
    progress("reading the data", 0.0, "")
    task, first = TASKS[plan.task], config.build(plan.tree(plan.models[0]))
    corpus = task.corpus(first, store.folder / "cache", say, lambda stage, done: progress(stage, done, ""))
    chosen = {}
    for model in plan.models:
        progress(f"choosing a size for {model}", 0.0, "")
        chosen[model] = task.choose(config.build(plan.tree(model)), corpus).settings
    target = plan.parameters
    if target is None and plan.match == "parameters":
        target = round(statistics.geometric_mean(matching.parameters(task, s, corpus) for s in chosen.values()))
    if target is not None:
        for model in plan.models:
            sized = partial(_of_size, plan, model, chosen[model], corpus)
            chosen[model] = matching.match_parameters(task, sized, corpus, target)
    if plan.match == "flops":
        reference = chosen[plan.models[0]]
        for model, settings in chosen.items():
            budget = matching.match_operations(task, reference, settings, corpus)
            chosen[model] = settings.model_copy(update={"budget": budget})
    batches = {model: matching.batch_targets(task, settings) for model, settings in chosen.items()}
    if plan.match == "tokens" and len(set(batches.values())) > 1:  # as many steps would read another number of targets
        remedy = " ".join(f"--set {name}=..." for name in task.batch)
        raise UserError("--match tokens", expected="batches of one size", got=batches, remedy=remedy)
    for settings in chosen.values():
        check_ram(partial(task.build, task.model_config(settings, corpus)), settings.train)
    for model, settings in chosen.items():
        known = settings.with_data({"fingerprint": corpus.fingerprint})
        store.known["settings"][model] = known.model_dump(mode="json")
        count = matching.parameters(task, settings, corpus)
        store.known.setdefault("parameters", {})[model] = count
        words = [shape(task.model_config(settings, corpus)), f"{count:,} parameters"]
        words.append(f"learning rate {settings.train.learning_rate:g}")
        say(f"{model}: {', '.join(filter(None, words))}")
    store.known["data"] = task.counts(corpus)


def _of_size(plan: Plan, model: str, chosen: Settings, corpus: Any, size: int) -> Settings:
    """The settings of another size, without measuring the machine once more."""
    task = TASKS[plan.task]
    tree = config.set_values(plan.tree(model), [f"{task.size}={size}"])
    tree["budget"] = {"amount": 1, "unit": "epochs"}
    settings = task.as_measured(task.choose(config.build(tree), corpus).settings, chosen)
    return settings.model_copy(update={"budget": chosen.budget})
