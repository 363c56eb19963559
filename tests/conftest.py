import json
import os
import random
import signal
from pathlib import Path

import pytest

collect_ignore = ["interop/record_keras_models.py"]  # imports Keras, which is not installed beside elman

# Two test workers on two cores: one thread each. Set before torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# After `nohup`, or a script's `&`, these would be ignored here and in every process that a test starts.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is asked of the native backend where it was not built."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if params.get("backend") != "native":
        return
    from elman.kernels.native import instruction_set

    if instruction_set() is None:
        pytest.skip("the native kernels are not built: pip install -e . with a C++ compiler at hand")


WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "to", "é"]


def _lines(count: int) -> list[str]:
    words = random.Random(1)
    return [" ".join(words.choices(WORDS, k=7)) + ".\n" for _ in range(count)]


@pytest.fixture(scope="session")
def plain_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small text to learn from."""
    path = tmp_path_factory.mktemp("plain") / "plain.txt"
    path.write_text("".join(_lines(60)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same kind of text in short documents, between which a memory is reset."""
    path = tmp_path_factory.mktemp("documents") / "documents.jsonl"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in _lines(60)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(plain_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that is finished; copy it before changing it."""
    from elman.cli import run

    folder = tmp_path_factory.mktemp("trained") / "run"
    sizes = ["--set", "hidden_size=8", "--set", "embedding_size=6", "--set", "lanes=4", "--set", "k1=8"]
    assert run(["train", str(plain_text), "-o", str(folder), "--steps", "12", *sizes]) == 0
    return folder
