"""Sessions in memory and on the disk: within the limit, whole after a restart, and nothing but tensors and JSON."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from elman.errors import UserError
from elman.runs import Run
from elman.serve import Full, Session, Sessions, Unknown
from elman.serve.memory import pack, unpack
from elman.state import flatten, leaves
from elman.tasks.listening import Memory
from serving import SIZES, TEXT, language_model


@pytest.fixture(params=SIZES)
def run(request: pytest.FixtureRequest) -> Run:
    return language_model(request.param)


def tensors(session: Session) -> list[torch.Tensor]:
    return list(leaves(session._content().trail.memory.state))


def test_the_least_recently_used_are_parked(run: Run) -> None:
    """So that no more memory is taken than allowed, and what comes back is what went, to the bit."""
    with Sessions(run) as roomy:
        size = roomy.create(text=TEXT).describe()["bytes"]
    with Sessions(run, memory=3 * size + size // 2) as sessions:
        made = [sessions.create(text=TEXT[: 20 + number]) for number in range(3)]
        before = [[x.clone() for x in tensors(session)] for session in made]
        name = made[0].checkpoint()
        for number in range(12):
            sessions.create(text=TEXT[number:])
            assert sessions.store.bytes <= sessions.limits.memory_bytes
        stats = sessions.stats()
        assert stats["sessions"] == 15
        assert stats["parked"] >= 11
        assert made[0]._record.content is None
        assert made[0].describe()["checkpoints"] == [{"id": name, "position": 20}]
        for session, kept in zip(made, before, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(tensors(session), kept, strict=True))
            assert session.text == TEXT[: session.position]
        assert made[0].feed(text="a")["position"] == 21
        assert made[0].rollback(name) == 20
        assert len(list(sessions.folder.glob("*.session"))) <= 15
        for session in made:
            session.close()
            assert not (sessions.folder / f"{session.id}.session").exists()


def test_a_restart_changes_nothing(run: Run, tmp_path: Path) -> None:
    """Not a bit; and nothing is read twice."""
    with Sessions(run, folder=tmp_path) as sessions:
        session = sessions.create(text=TEXT)
        session.generate(tokens=100, seed=3).answer  # noqa: B018
        name, fork = session.checkpoint(), session.fork(at=12)
        session.feed(text="the")
        expected, units = [x.clone() for x in tensors(session)], session.units
        told = session.describe()
    with Sessions(run, folder=tmp_path) as sessions:
        with pytest.raises(Unknown):
            sessions.get(session.id)
        assert sessions.restore() == 2
        assert sessions.restore() == 0
        again = sessions.get(session.id)
        assert {**again.describe(), "idle": 0, "bytes": 0} == {**told, "idle": 0, "bytes": 0}
        assert all(torch.equal(x, y) for x, y in zip(tensors(again), expected, strict=True))
        assert sessions.model(None).counts.read == 0
        assert again.units == units
        assert sessions.get(fork.id).parent == session.id
        assert sessions.get(fork.id).units == units[:12]
        assert again.rollback(name) == len(units) - 3
        assert again.rollback(64) == 64
        assert again.feed(text="x")["read"] == 1


def test_a_folder_belongs_to_one(tmp_path: Path) -> None:
    run = language_model()
    with Sessions(run, folder=tmp_path), pytest.raises(UserError, match="another process"):
        Sessions(run, folder=tmp_path)
    Sessions(run, folder=tmp_path).close()


def test_a_kill_loses_no_more_than_a_moment(tmp_path: Path) -> None:
    """What was saved meanwhile is there; what a kill left half written is not."""
    run = language_model()
    with Sessions(run, folder=tmp_path / "old") as sessions:
        session = sessions.create(text="the")
        sessions.save()
        shutil.copytree(tmp_path / "old", tmp_path / "new")  # as a kill leaves it
        unfinished = tmp_path / "new" / f".{session.id}.session.tmp"
        unfinished.write_bytes(b"half")
        with Sessions(run, folder=tmp_path / "new") as after:
            assert after.restore() == 1
            assert not unfinished.exists()
            assert after.get(session.id).text == "the"


def test_what_grows_is_not_kept_all_along() -> None:
    """A Transformer's memory of every 64 units would take a square of the length."""
    with Sessions(language_model("transformer")) as sessions:
        session = sessions.create(text=TEXT)
        session.generate(tokens=300, seed=1).answer  # noqa: B018
        assert not session._content().trail.snapshots
        assert session.rollback(200) == 200
    with Sessions(language_model()) as sessions:
        session = sessions.create(text=TEXT)
        for _ in range(20):
            session.generate(tokens=500, seed=1).answer  # noqa: B018
        kept = session._content().trail.snapshots
        assert 8 <= len(kept) <= 32
        assert [memory.position for memory in kept] == sorted({memory.position for memory in kept})


def test_another_models_sessions_stay_where_they_are(tmp_path: Path) -> None:
    run = language_model()
    with Sessions(run, folder=tmp_path) as sessions:
        sessions.create(text="abc")
    with torch.no_grad():
        next(run.model.parameters()).add_(0.5)
    with Sessions(run, folder=tmp_path) as sessions:
        assert sessions.restore() == 0
    assert len(list(tmp_path.glob("*.session"))) == 1


def test_files_are_safetensors_and_strange_ones_are_passed_over(tmp_path: Path) -> None:
    run = language_model()
    with Sessions(run, folder=tmp_path) as sessions:
        session = sessions.create(text="abc")
    [path] = tmp_path.glob("*.session")
    assert path.stem == session.id
    found = safetensors.torch.load(path.read_bytes())
    assert all(name.split(".")[1] == "state" for name in found)
    data = path.read_bytes()
    for name, content in {
        "x.session": data,
        "A" * 22 + ".session": data,  # another id than the file says
        "B" * 22 + ".session": data[:40],
        "C" * 22 + ".session": b"\xff" * 64,
        "D" * 22 + ".session": b"",
        "notes.txt": b"mine",
        ".x.session.tmp": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / ("E" * 22 + ".session")).mkdir()
    with Sessions(run, folder=tmp_path) as sessions:
        assert sessions.restore() == 1
        path.write_bytes(data[:-3])  # damaged between the start and its use
        with pytest.raises(UserError, match="session"):
            sessions.get(session.id).feed(text="a")
        assert sessions.create(text="a").feed(text="b")["read"] == 1  # the others go on
    assert (tmp_path / "notes.txt").read_bytes() == b"mine"


def test_states_from_outside_are_checked(run: Run) -> None:
    """A state of other sizes, types or names, or of no state at all, is refused in one line."""
    with Sessions(run) as sessions:
        served, session = sessions.model(None), sessions.create(text="the cat")
        data = session.state()
        assert sessions.create(memory=data).position == 7
        [memory], _ = unpack(data, served.listener.like, served.mark)
        good, about = memory.state, {"mark": served.mark}
        wrong = [b"", b"abc", data[:-1], data[:20] + b"\xff" * 20 + data[40:], b"\x80\x04." + data]
        wrong += [
            pack([memory], {"mark": "another"}),
            pack([memory], {}),
            pack([], about),
            pack([memory, memory], about),
        ]
        wrong += [pack([Memory((good,), memory.notes, 7)], about), pack([Memory(good[0], memory.notes, 7)], about)]  # type: ignore[index]
        flat = flatten(good)
        for name, x in flat.items():
            for other in (
                x.double() if x.is_floating_point() else x.float(),
                torch.cat((x, x)),
                x[..., None],
                x[..., :0],
            ):
                changed = {**flat, name: other}
                state = tree(good, iter(changed.values()))
                wrong.append(pack([Memory(state, memory.notes, 7)], about))
        for notes in (
            {"last": -1},
            {"last": 10**9},
            {"last": "a"},
            {"unfinished": "zz"},
            {"unfinished": 5},
            {"unfinished": "ff" * 99},
        ):
            wrong.append(pack([Memory(good, notes, 7)], about))
        wrong += [pack([Memory(good, {}, position)], about) for position in (-1, 2**60)]
        for data in wrong:
            with pytest.raises(UserError) as caught:
                sessions.create(memory=data)
            assert "\n" not in str(caught.value)
        assert sessions.stats()["sessions"] == 2


def tree(like: object, values: object) -> object:
    from elman.state import map_state

    return map_state(lambda x: next(values), like)  # type: ignore[arg-type, call-overload]


def test_positions_of_a_foreign_memory_are_within_it() -> None:
    """A Transformer's position says which entries are in use: no state may point beyond."""
    run = language_model("transformer")
    with Sessions(run) as sessions:
        served, session = sessions.model(None), sessions.create(text="the cat")
        [memory], _ = unpack(session.state(), served.listener.like, served.mark)
        for position in (-1, 8, 10**12):
            state = memory.state[0]._replace(position=torch.tensor([position]))  # type: ignore[union-attr]
            data = pack([Memory((state, memory.state[1]), memory.notes, 7)], {"mark": served.mark})
            with pytest.raises(UserError):
                sessions.create(memory=data)


def test_a_full_disk_refuses_new_sessions_and_harms_none(monkeypatch: pytest.MonkeyPatch) -> None:
    run = language_model()
    with Sessions(run, memory=8000) as sessions:
        first = sessions.create(text="the")

        def full(self: Path, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(Full):  # noqa: PT012
            for _ in range(20):
                sessions.create(text="abc")
        assert first.feed(text="x")["position"] == 4
        monkeypatch.undo()
        sessions.create(text="abc")
        assert sessions.store.bytes <= 8000


def test_saving_reports_what_it_cannot_write(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    with Sessions(language_model(), folder=tmp_path) as sessions:
        sessions.create(text="abc")
        tmp_path.chmod(0o500)
        with pytest.raises(UserError, match="cannot write"):
            sessions.save()
        tmp_path.chmod(0o700)


def test_a_shared_memory_is_counted_once() -> None:
    with Sessions(language_model()) as sessions:
        session = sessions.create(text=TEXT)
        one = sessions.store.bytes
        forks = [session.fork() for _ in range(5)]
        units = 100 + 40 * len(TEXT)  # each has its own
        assert sessions.store.bytes == one + 5 * units
        for fork in forks:
            fork.close()
        assert sessions.store.bytes == one
        session.close()
        assert sessions.store.bytes == 0


def test_what_a_file_is_about_is_json(tmp_path: Path) -> None:
    with Sessions(language_model(), folder=tmp_path) as sessions:
        session = sessions.create(text="abc")
    [path] = tmp_path.glob("*.session")
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    about = json.loads(header["__metadata__"]["elman"])
    assert about["id"] == session.id
    assert about["trail"]["units"] == session.units
