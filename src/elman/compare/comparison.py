"""A comparison from its plan to its results: sizes, learning rates, trainings, measurements."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from elman import run_folders
from elman.compare import matching, search
from elman.compare.outcomes import percent
from elman.compare.plan import TRIAL_SHARE, Plan
from elman.compare.store import Store, open_store
from elman.compare.training import measured_training, settings_tree, train
from elman.errors import UserError
from elman.inspection.inspect import shape
from elman.tasks import TASKS
from elman.tasks import configuration as config
from elman.tasks.configuration import Settings
from elman.tasks.sizing import check_memory
from elman.tasks.task import Say

TellStage = Callable[[str, float, str], None]
"""What is being done, how much of it is done (0 to 1), and a few words."""


def compare(
    plan: Plan,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    say: Say = lambda line: None,
    progress: TellStage = lambda name, done, text: None,
    stop: Callable[[], bool] = lambda: False,
) -> Store:
    """Train and measure every model; what an earlier session did is taken up.

    Models train one after another, seed by seed, so that all have the whole machine.

    Raises:
        Stopped: `stop()` said so; all is saved.
        UserError: data, settings or folder are not usable.
    """
    if plan.trials:
        search.check_optuna()
    task = TASKS[plan.task]
    task.check(config.build(plan.tree(plan.models[0])))
    store = open_store(folder, plan, resume=resume, overwrite=overwrite)
    if not store.known["settings"]:
        with _made_for_nothing(folder):
            run_folders.unlink_cache(folder)
            _size(plan, store, say, progress)
            store.replace()
            store.save()
    settings = {model: config.build(tree) for model, tree in store.known["settings"].items()}
    factors = {model: _search(plan, store, model, settings[model], progress, stop) for model in plan.models}
    trainings = list(plan.trainings())
    for number, training in enumerate(trainings, start=1):
        if training.name in store.known["runs"]:
            continue
        stage = f"{training.model}, seed {training.seed} ({number} of {len(trainings)})"
        tree = settings_tree(_here(settings[training.model], plan), training.seed, factors[training.model])
        measured = measured_training(tree, folder / training.name, stop, partial(progress, stage))
        store.known["runs"][training.name] = {"model": training.model, "seed": training.seed, **measured.result}
        store.timing["runs"][training.name] = measured.timing
        store.save()
        speed, others = (measured.timing[key] for key in ("training_tokens_per_second", "others_share"))
        besides = "" if others is None else f", other work's share of the processor {percent(others)}"
        say(f"{stage}: {measured.result['loss']:.4f} {task.loss_unit}, {speed:,.0f} {task.target}s/s{besides}")
    store.save()
    return store


@contextmanager
def _made_for_nothing(folder: Path) -> Iterator[None]:
    """Where there is no comparison in the end, the cache and the folders that were made for it go again."""
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


def _size(plan: Plan, store: Store, say: Say, progress: TellStage) -> None:
    """Decide every model's settings, once for all its seeds."""
    progress("reading the data", 0.0, "")
    task, first = TASKS[plan.task], config.build(plan.tree(plan.models[0]))
    corpus = task.corpus(first, store.folder / "cache", say, lambda stage, done: progress(stage, done, ""))
    chosen = {}
    for model in plan.models:
        progress(f"choosing a size for {model}", 0.0, "")
        chosen[model] = task.choose(config.build(plan.tree(model)), corpus).settings
    target = plan.parameters
    if target is None and plan.match == "parameters":
        target = matching.geometric_mean([matching.parameters(task, s, corpus) for s in chosen.values()])
    if target is not None:
        for model in plan.models:
            sized = partial(_of_size, plan, model, chosen[model], corpus)
            chosen[model] = matching.match_parameters(task, sized, corpus, target)
    if plan.match == "flops":
        reference = chosen[plan.models[0]]
        for model, settings in chosen.items():
            budget = matching.match_operations(task, reference, settings, corpus)
            chosen[model] = settings.model_copy(update={"budget": budget})
    _check_batches(plan, chosen)
    for settings in chosen.values():
        check_memory(partial(task.build, task.model_config(settings, corpus)), settings.train)
    for model, settings in chosen.items():
        data = settings.data.model_copy(update={"fingerprint": corpus.fingerprint})
        store.known["settings"][model] = settings.model_copy(update={"data": data}).model_dump(mode="json")
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


def _check_batches(plan: Plan, chosen: dict[str, Settings]) -> None:
    """Steps of different batches are no common measure."""
    task = TASKS[plan.task]
    sizes = {model: matching.batch_targets(task, settings) for model, settings in chosen.items()}
    if plan.match == "tokens" and len(set(sizes.values())) > 1:
        remedy = " ".join(f"--set {name}=..." for name in task.batch)
        raise UserError("--match tokens", expected="batches of one size", got=str(sizes), remedy=remedy)


def _here(settings: Settings, plan: Plan) -> Settings:
    """With the data where it is now."""
    return settings.model_copy(update={"data": settings.data.model_copy(update=plan.files)})


def _search(
    plan: Plan, store: Store, model: str, settings: Settings, progress: TellStage, stop: Callable[[], bool]
) -> float:
    """The factor on the recipe's learning rate: 1 where nothing is tried."""
    if not plan.trials:
        return 1.0
    tried: list[dict[str, Any]] = store.known["trials"].setdefault(model, [])

    def run(number: int, factor: float) -> float | None:
        stage = f"{model}, trial {number + 1} of {plan.trials}"
        tree = settings_tree(_here(settings, plan), plan.seed, factor, TRIAL_SHARE)
        try:
            finished, _ = train(tree, store.folder / "trials" / f"{model}-{number}", stop, partial(progress, stage))
            loss = finished.best if math.isfinite(finished.best) else None
        except UserError as error:
            if "not finite" not in str(error):
                raise
            loss = None
        tried.append({"factor": factor, "learning_rate": tree["train"]["learning_rate"], "loss": loss})
        store.save()
        return loss

    return search.search_factor(plan.trials, plan.seed, [trial["loss"] for trial in tried], run)
