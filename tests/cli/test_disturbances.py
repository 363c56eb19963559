"""Signals, kills, full disks and lost terminals: nothing is lost, and a resumed run ends as an undisturbed one."""

from __future__ import annotations

import errno
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from elman.cli import run as command

# A rate that does not follow the budget: a run of any length is the beginning of a longer one.
SETTINGS = "hidden_size=8 embedding_size=6 lanes=4 k1=8 schedule=constant warmup=0 validate_every=10 checkpoint_every=3"
SMALL = [word for setting in SETTINGS.split() for word in ("--set", setting)]


def train(text: Path, folder: Path, steps: int) -> list[str]:
    return ["train", str(text), "-o", str(folder), "--resume", "--steps", str(steps), *SMALL]


def start(arguments: list[str], **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "elman", *arguments], **options)  # type: ignore[call-overload]


def wait_until(ready: Callable[[], object]) -> None:
    for _ in range(30_000):
        if ready():
            return
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def steps_saved(folder: Path) -> int:
    return max((int(path.stem.split("-")[1]) for path in folder.glob("checkpoints/step-*")), default=0)


def assert_as_undisturbed(text: Path, folder: Path, tmp_path: Path, steps: int) -> None:
    """Resume to the end, and compare with a run of the same steps."""
    assert command(train(text, folder, steps)) == 0
    settings = ["--config", str(folder / "config.yaml")]
    assert command([*train(text, tmp_path / "undisturbed", steps), *settings]) == 0
    for name in ("metrics.jsonl", "model/model.safetensors", "model/tokenizer.json", "model/config.json"):
        assert (folder / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_signals(plain_text: Path, tmp_path: Path, number: int, code: int) -> None:
    run = tmp_path / "run"
    process = start(train(plain_text, run, 10**9), stderr=subprocess.PIPE)
    wait_until(lambda: steps_saved(run) >= 3)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in err
    assert (b"stopped at step" in err) == (number != signal.SIGKILL)
    assert_as_undisturbed(plain_text, run, tmp_path, steps_saved(run) + 25)


def test_a_hangup_that_is_ignored_stops_nothing(plain_text: Path, tmp_path: Path) -> None:
    """As after `nohup`."""
    run = tmp_path / "run"
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "-", sys.executable, "-m", "elman"]
    with subprocess.Popen([*ignoring, *train(plain_text, run, 10**9)], stderr=subprocess.PIPE) as process:
        wait_until(lambda: steps_saved(run) >= 3)
        process.send_signal(signal.SIGHUP)
        later = steps_saved(run) + 30
        wait_until(lambda: steps_saved(run) >= later or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 143
    assert steps_saved(run) >= later


@pytest.mark.skipif(torch.get_num_threads() > 1, reason="a fork has none of its parent's OpenMP threads")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("place", [*range(1, 16), 17, 20, 25, 33])
def test_killed_between_any_two_changes_on_the_disk(plain_text: Path, tmp_path: Path, place: int) -> None:
    run = tmp_path / "run"
    child = os.fork()
    if child == 0:
        die_before_change(place)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(command(train(plain_text, run, 13)))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert_as_undisturbed(plain_text, run, tmp_path, 13)
    assert not list(tmp_path.rglob("*.tmp"))


def die_before_change(place: int) -> None:
    """Make this process kill itself instead of syncing, renaming, removing or cutting a file for the n-th time."""
    places = iter(range(1, place + 1))

    def dying(change: Callable[..., object]) -> Callable[..., object]:
        def die_or_change(*arguments: object, **options: object) -> object:
            if next(places) == place:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **options)

        return die_or_change

    for owner, name in [(os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir")]:
        setattr(owner, name, dying(getattr(owner, name)))


@pytest.mark.parametrize("place", range(1, 20, 2))
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_is_full_at_any_write(
    plain_text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: int,
    call: str,
) -> None:
    owner: object = {"fsync": os, "replace": Path}[call]
    original = getattr(owner, call)
    calls = 0

    def full(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*arguments)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, full)
        assert command(train(plain_text, run, 13)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("elman: cannot write ")
    assert "No space left on device" in last
    assert run.exists() == (run / "config.yaml").exists(), "a run that never began leaves nothing"
    assert not list(tmp_path.rglob("*.tmp"))
    assert_as_undisturbed(plain_text, run, tmp_path, 13)


def test_a_limit_on_the_size_of_files(
    trained: Path, plain_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first checkpoint, which holds nothing of the optimiser yet, is small enough; the second is not."""
    run = tmp_path / "run"
    first = min(path.stat().st_size for path in trained.glob("checkpoints/step-*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (first + 1000, hard))
    try:
        assert command(train(plain_text, run, 13)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large; lift the limit on file sizes; a run goes on with --resume" in capsys.readouterr().err
    assert [path.name for path in run.glob("checkpoints/*")] == ["step-000000000.safetensors"]
    assert_as_undisturbed(plain_text, run, tmp_path, 13)


def test_stderr_is_a_pipe_that_breaks(plain_text: Path, tmp_path: Path) -> None:
    process = start(
        [*train(plain_text, tmp_path / "run", 25), "--json"], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stderr is not None
    process.stderr.close()
    process.stderr = None
    out, _ = process.communicate()
    assert process.returncode == 0
    assert out.startswith(b'{"run"')
    assert_as_undisturbed(plain_text, tmp_path / "run", tmp_path, 25)


def test_the_terminal_is_closed(plain_text: Path, tmp_path: Path) -> None:
    """Without a signal: what is written to it fails from then on."""
    run = tmp_path / "run"
    ours, theirs = pty.openpty()
    process = start(train(plain_text, run, 400), stderr=theirs, start_new_session=True)
    os.close(theirs)
    wait_until(lambda: steps_saved(run) >= 3)
    os.close(ours)
    assert process.wait() == 0
    assert steps_saved(run) == 400


@pytest.mark.parametrize(
    ("shell", "out", "err", "code"),
    [
        ('"$@" --tokens 100000 | head -c 10', 10, b"", 0),
        ('"$@" --tokens 5 > /dev/full', 0, b"elman: cannot go on: No space left on device\n", 1),
        ('"$@" --tokens 5 >&-', 0, b"", 0),
    ],
    ids=["head", "full", "closed"],
)
def test_generating_for_a_reader_that_goes_away(trained: Path, shell: str, out: int, err: bytes, code: int) -> None:
    arguments = [sys.executable, "-m", "elman", "generate", str(trained), "the"]
    result = subprocess.run(["bash", "-o", "pipefail", "-c", shell, "-", *arguments], capture_output=True)
    assert (len(result.stdout), result.stderr, result.returncode) == (out, err, code)
