"""The trainings of a comparison that several processes share: what each of them does, and N of them on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from elman import environment
from elman.compare.liveness import LOOK
from elman.compare.ongoing import Ongoing
from elman.compare.plan import Plan
from elman.compare.search import best_factor, propose, try_factor
from elman.compare.sharing import Shared, Taken
from elman.compare.store import Store
from elman.compare.training import Stopped, measured_training, tree_of_training
from elman.errors import UserError
from elman.remedies import of_a_command, remedy_for_reader
from elman.tasks import TASKS
from elman.tasks import configuration as config
from elman.tasks.configuration import Settings


def settings_of(plan: Plan, known: dict[str, Any]) -> dict[str, Settings]:
    """The settings of each model, with the data where they are now."""
    settings = {}
    for model, tree in known["settings"].items():
        stored = config.build(tree)
        settings[model] = stored.with_data(plan.files)
    return settings


def work(ongoing: Ongoing, shared: Shared) -> None:
    """Do what nobody else does, until everything is done.

    Raises:
        Stopped: `stop()` returned true; what was not finished is given back.
        UserError: as of `training.train`.
    """
    settings = settings_of(ongoing.plan, ongoing.store.known)
    while True:
        job = shared.take()
        if job is not None:
            with shared.holding(job):
                _do(ongoing, shared, settings[job.model], job)
        elif shared.done == 1:
            return
        elif ongoing.stop():
            raise Stopped
        else:
            ongoing.progress("waiting for other processes", shared.done, "")
            time.sleep(LOOK)


def _do(ongoing: Ongoing, shared: Shared, settings: Settings, job: Taken) -> None:
    plan = ongoing.plan
    if job.place is not None:
        factor = propose(job.study, job.trial, plan.seed + job.place)
        found = try_factor(ongoing, job.model, settings, factor, job.place)
        shared.finish(job, found, found["loss"])
        return
    assert job.training is not None
    names = plan.trainings()
    seed = names[job.training][1]
    stage = f"{job.model}, seed {seed} ({[*names].index(job.training) + 1} of {len(names)})"
    tree = tree_of_training(settings, seed, best_factor(shared.tried(job.model)) if plan.trials else 1.0)
    tell = partial(ongoing.progress, stage)
    result, timing = measured_training(tree, ongoing.store.folder / job.training, ongoing.stop, tell)
    shared.finish(job, [{"model": job.model, "seed": seed, **result}, timing], result["loss"])


def collect(plan: Plan, store: Store, shared: Shared) -> list[str]:
    """Write what all processes have found so far into the folder; the names of the trainings that are new there."""
    known = set(store.known["runs"])
    if plan.trials:
        store.known["trials"] = {model: shared.tried(model) for model in plan.models}
    for name, (result, timing) in shared.trained().items():
        store.known["runs"][name] = result
        if timing is not None:
            store.timing["runs"][name] = timing
    store.known["runs"] = {name: store.known["runs"][name] for name in plan.trainings() if name in store.known["runs"]}
    store.save()
    return [name for name in store.known["runs"] if name not in known]


def work_in_processes(ongoing: Ongoing, shared: Shared, processes: int) -> None:
    """As `work`, in so many processes with their part of the cores each; one that is killed leaves its part to others.

    Raises:
        Stopped: `stop()` returned true.
        UserError: that of a process, or all of them were killed.
    """
    plan, store = ongoing.plan, ongoing.store
    threads = max(1, environment.cores() // processes)
    spawn = multiprocessing.get_context("spawn")
    crew = []
    for _ in range(processes):
        ours, theirs = spawn.Pipe(duplex=False)
        member = spawn.Process(target=_assist, args=(plan, store.folder, shared.address, threads, theirs), daemon=True)
        member.start()
        theirs.close()
        crew.append((member, ours))
    before = -1.0
    try:
        while before < 1:
            if ongoing.stop():
                raise Stopped
            for member, errors in crew:
                if member.exitcode and errors.poll():
                    with suppress(EOFError):  # it was killed
                        raise UserError(remedy_for_reader(errors.recv()))
            alive, done = any(member.is_alive() for member, _ in crew), shared.done  # in this order: who is done ends
            if done > before:
                before = done
                for name in collect(plan, store, shared):
                    ongoing.say(f"{name}: {store.known['runs'][name]['loss']:.4f} {TASKS[plan.task].loss_unit}")
            elif not alive:
                raise UserError("all processes were killed", remedy="everything is saved: go on with --resume")
            ongoing.progress(f"comparing in {processes} processes", done, f"{len(store.known['runs'])} trainings done")
            time.sleep(LOOK / 4)
    finally:
        for member, _ in crew:
            if member.is_alive():
                member.terminate()  # asks it to save and stop
        for member, _ in crew:
            member.join()


def _assist(plan: Plan, folder: Path, address: str, threads: int, errors: Connection) -> None:
    """What each of the processes does."""
    import torch

    torch.set_num_threads(threads)
    environment.keep_freed()
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: asked.append(number))
    parent = os.getppid()
    shared = Shared(address, plan)
    assert shared.known is not None
    store = Store(folder, shared.known, {"runs": {}})
    try:
        with of_a_command():  # whoever began the comparison translates
            work(Ongoing(plan, store, stop=lambda: bool(asked) or os.getppid() != parent), shared)
    except Stopped:
        pass
    except UserError as error:
        errors.send(str(error))
        raise SystemExit(1) from None
    except Exception as error:
        errors.send(f"a process failed: {type(error).__name__}: {error}")
        raise
