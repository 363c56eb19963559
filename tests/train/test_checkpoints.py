import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.train import checkpoints
from elman.train.checkpoints import Averaged, Checkpoint, Counters, Damaged, Values

VALUES = Values(Counters(step=12, best=float("inf")), [0.1, 2.0], [], carried=False, average=Averaged(3, 0.9))


def example() -> Checkpoint:
    torch.manual_seed(0)
    tied = torch.randn(3, 4)
    return Checkpoint(
        {
            "model.a": tied,
            "model.b": tied,
            "model.t": tied.t(),
            "carried.0": torch.zeros(2, 0),
            "random.cpu": torch.get_rng_state(),
            "odd.bf16": torch.randn(5).bfloat16(),
            "odd.nan": torch.tensor(float("nan")),
        },
        VALUES,
    )


def equal(a: Checkpoint, b: Checkpoint) -> bool:
    return (
        a.values == b.values
        and list(a.tensors) == list(b.tensors)
        and all(
            x.dtype == y.dtype and torch.equal(x.nan_to_num() if x.is_floating_point() else x, y.nan_to_num())
            for x, y in zip(a.tensors.values(), b.tensors.values(), strict=True)
        )
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = checkpoints.save(tmp_path, 12, example())
    loaded = checkpoints.load(path)
    assert loaded.values == VALUES
    assert loaded.tensors.keys() == example().tensors.keys()
    for name, tensor in example().tensors.items():
        torch.testing.assert_close(loaded.tensors[name], tensor, rtol=0, atol=0, equal_nan=True)
    assert list(loaded.part("model")) == ["a", "b", "t"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return checkpoints.save(tmp_path_factory.mktemp("whole"), 1, example()).read_bytes()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    altered = bytearray(whole)
    altered[place] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "altered.safetensors"
    path.write_bytes(altered)
    try:
        loaded = checkpoints.load(path)
    except Damaged:
        return
    assert equal(loaded, example()), f"bit {bit} of byte {place}"


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut short in the header": lambda whole: whole[:100],
    "cut short in the tensors": lambda whole: whole[:-1],
    "zeros": lambda whole: bytes(len(whole)),
    "text": lambda whole: b"no checkpoint at all\n" * 100,
    "longer": lambda whole: whole + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_noticed(whole: bytes, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "step-000000001.safetensors"
    path.write_bytes(damage(whole))
    with pytest.raises(Damaged, match=r"step-000000001\.safetensors: "):
        checkpoints.load(path)


@pytest.mark.parametrize(
    ("altered", "why"),
    [
        ("{", "values is damaged"),
        ("{}", r"values is damaged \(counters: Field required\)"),
        ('{"counters": {"step": -1}}', "counters.step: Input should be greater than or equal to 0"),
    ],
)
def test_values_of_another_kind_are_damage_even_where_the_checksum_fits(tmp_path: Path, altered: str, why: str) -> None:
    path = checkpoints.save(tmp_path, 1, example())
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, framework="pt") as file:
        sums = json.loads(file.metadata()["crc32"]) | {"values": zlib.crc32(altered.encode())}
    safetensors.torch.save_file(tensors, path, metadata={"values": altered, "crc32": json.dumps(sums)})
    with pytest.raises(Damaged, match=why):
        checkpoints.load(path)


def test_the_newest_whole_one_serves(tmp_path: Path) -> None:
    for step in (7, 8):
        checkpoints.save(
            tmp_path, step, Checkpoint({"x": torch.ones(9)}, replace(VALUES, counters=Counters(step=step)))
        )
    with checkpoints.paths(tmp_path)[-1].open("r+b") as file:
        file.truncate(30)
    damaged, found = checkpoints.newest(tmp_path)
    assert isinstance(damaged, Damaged)
    assert isinstance(found, Checkpoint)
    assert found.values.counters.step == 7


def test_two_are_kept_and_leftovers_go(tmp_path: Path) -> None:
    def save(step: int) -> list[str]:
        checkpoints.save(tmp_path, step, Checkpoint({"x": torch.ones(1)}, VALUES))
        return [path.name for path in sorted(tmp_path.iterdir())]

    save(90)
    save(100)
    (tmp_path / ".step-000000110.safetensors.tmp").write_bytes(b"killed while it was written")
    # The checkpoint of step 100 was damaged, and that of 90 served: the first one after it takes the place.
    assert save(95) == ["step-000000090.safetensors", "step-000000095.safetensors"]
    assert save(100) == ["step-000000095.safetensors", "step-000000100.safetensors"]
    assert save(1_000_000_000) == ["step-000000100.safetensors", "step-1000000000.safetensors"]


def test_no_pickle_is_in_it(whole: bytes) -> None:
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    assert set(json.loads(header["__metadata__"]["values"])) == set(vars(VALUES))
