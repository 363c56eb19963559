"""What a person may have meant by a name that no setting has: an option, or a setting of another kind of model."""

from __future__ import annotations

from collections.abc import Mapping

from elman.settings import Section
from elman.synonyms import synonyms
from elman.tasks.task import Task

# Names that a person may take for settings, and the option or the argument that each is instead.
OPTIONS = {
    name: option
    for option, names in {
        "the option --epochs N": "epochs epoch n_epochs num_epochs max_epochs",
        "the option --steps N": "steps n_steps num_steps max_steps train_steps iters max_iters iterations updates",
        "the option --for 2m": "for time minutes seconds hours max_time budget",
        "the option --model": "model kind cell arch architecture model_type rnn_type",
        "the option -o RUN": "out out_dir output_dir save_dir run",
        "the argument DATA": "source data dataset train_file",
        "the argument TARGETS, after DATA": "target targets",
        "the second file of --valid FILE TARGETS": "valid_target valid_targets",
        "the option --task": "task",
        "an option of `elman predict`: --beam N": "beam beam_size num_beams",
        "an option of `elman generate`": "temperature top_k top_p",
    }.items()
    for name in names.split()
}


def remedy(key: str, task: Task, sections: Mapping[str, type[Section]], otherwise: str) -> str:
    """The option that a name is instead of a setting, or the other kinds of model that have the setting."""
    if (word := key.lower().replace("-", "_")) in OPTIONS:
        return f"it is {OPTIONS[word]}"
    here = {name for section in sections.values() for name in section.model_fields}
    if key in here or synonyms(key, here):
        return otherwise
    there = {name: section for section in task.models.values() for name in section.model_fields}
    for name in (key, *synonyms(key, there)):
        if kinds := sorted(kind for kind, section in task.models.items() if name in section.model_fields):
            return f"{'it' if name == key else name} is one of --model {', '.join(kinds)}"
    return otherwise
