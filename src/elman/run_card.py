"""A run in a few words: the names and sizes that people know it by, and its card in a notebook."""

from __future__ import annotations

import contextlib
import html

from elman import information
from elman.errors import UserError
from elman.tasks.exchange import Trained


def facts(run: Trained) -> dict[str, str]:
    """Names and words for people: the sizes of the model, its data, and its best validation."""
    config, parameters = run.config["model"], sum(p.numel() for p in run.model.parameters())
    sizes = {name: str(size) for name, size in config.items() if name.endswith(("_size", "layers")) and size}
    said = {"task": run.task.name, "model": str(config.get("model")), **sizes, "parameters": f"{parameters:,}"}
    with contextlib.suppress(UserError):  # a model folder alone has no settings and no course
        found = information.of_settings(run.path)
        said |= {name: found[name] for name in ("trained on", "budget")}
        if best := information.of_training(run.path)["best"]:
            said["best validation loss"] = f"{best['loss']:.4f} {run.task.loss_unit}"
    return said


def card(run: Trained) -> str:
    """HTML with the facts of a run and its uses."""
    left = "style='text-align:left'"
    said = {html.escape(name): html.escape(value) for name, value in facts(run).items()}
    rows = "".join(f"<tr><th {left}>{name}</th><td {left}>{value}</td></tr>" for name, value in said.items())
    uses = html.escape(", ".join(f"run.{name}(…)" for name in [*run.task.options, "inspect", "save"]))
    return f"<table><caption><b>{html.escape(run.path.name)}</b></caption>{rows}</table><code>{uses}</code>"
