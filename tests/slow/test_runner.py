"""The runner as people get it: a wheel in an environment without torch, and a page in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import elman
from elman.export import export

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2] / "runner"
TEXT = "the cat sät ön a mat and the dög ran — é.\n" * 60
ONNXRUNTIME_WEB = "onnxruntime-web@1.30.0"
MEGABYTE = 1_000_000


def run(*command: object, **options: Any) -> str:
    return subprocess.run(
        [*map(str, command)], check=True, capture_output=True, text=True, timeout=900, **options
    ).stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[elman.Run, Path]]:
    """Language models and their folders, by names that say model and tokens."""
    found = {}
    for model, tokenizer in (("lstm", "char"), ("transformer", "byte"), ("gru", "word")):
        place = tmp_path_factory.mktemp("runs") / f"{model}-{tokenizer}"
        trained = elman.fit(TEXT, model=model, tokenizer=tokenizer, budget="30 steps", progress=False, hidden_size=16,
                            lanes=4, k1=8, learning_rate=0.02)  # fmt: skip
        export(trained, "onnx", place)
        found[place.name] = trained, place
    return found


def test_a_wheel_without_torch(runs: dict[str, tuple[elman.Run, Path]], tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, tmp_path / "source")
    [wheel] = tmp_path.glob("elman_runner-*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    place = Path(run(python, "-c", "import elman_runner; print(elman_runner.__path__[0])").strip())
    compiled = sum(file.stat().st_size for file in place.rglob("*.py*"))
    assert 0 < compiled <= MEGABYTE
    loaded = "import elman_runner, sys; elman_runner.load(sys.argv[1]); print({'torch', 'tokenizers'} & {*sys.modules})"
    for trained, folder in runs.values():
        assert run(python, "-c", loaded, folder).strip() == "set()"
        command = [tmp_path / "venv" / "bin" / "elman-run", folder, "the", "--tokens", 60, "--seed", 5, "--json"]
        expected = "".join(piece.text for piece in trained.task.generate(
            trained, "the", trained.task.options_of("generate", {"tokens": 60, "seed": 5}, folder)))  # fmt: skip
        assert json.loads(run(*command, encoding="utf-8"))["text"] == expected


@pytest.fixture(scope="module")
def site(runs: dict[str, tuple[elman.Run, Path]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page, with onnxruntime-web and the exported folders beside it."""
    for program in ("npm", "chromium"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")
    place = tmp_path_factory.mktemp("site")
    archive = run("npm", "pack", "--silent", ONNXRUNTIME_WEB, cwd=place).strip()
    run("tar", "xzf", archive, cwd=place)
    (place / "package" / "dist").rename(place / "ort")
    for file in (ROOT / "web").iterdir():
        shutil.copy(file, place)
    for name, (_, folder) in runs.items():
        shutil.copytree(folder, place / name)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=f"{place}")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


def browse(site: str, profile: Path, *options: str, **query: object) -> dict[str, str]:
    """The page's text, and the line that it says, after its work is done."""
    address = f"{site}?{urlencode(query)}"
    page = run(
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", *options,
        "--virtual-time-budget=60000", "--dump-dom", address, encoding="utf-8",
    )  # fmt: skip
    found = {name: re.search(rf'id="{name}"[^>]*>(.*?)</', page, re.DOTALL) for name in ("text", "said")}
    return {name: unescape(match[1]) if match else "" for name, match in found.items()}


@pytest.mark.parametrize("name", ["lstm-char", "transformer-byte", "gru-word"])
@pytest.mark.parametrize("drawing", [{"temperature": 1.0}, {"temperature": 2.0, "top_p": 0.8}, {"temperature": 0.0}])
def test_the_page_writes_the_same_text(
    name: str, drawing: dict[str, float], site: str, runs: dict[str, tuple[elman.Run, Path]], tmp_path: Path
) -> None:
    """In three pieces, the memory passed on in the page."""
    said = browse(site, tmp_path, model=name, prompt="the c", tokens=20, seed=2**53 + 7, write=1, on=2, **drawing)
    text, _ = runs[name][0].generate("the c", tokens=60, seed=2**53 + 7, **drawing)
    assert said["said"].startswith("60 tokens so far")
    assert said["text"].rstrip("\ufffd") == ("the c" + text).rstrip("\ufffd")


def test_the_page_says_what_is_wrong(site: str, tmp_path: Path) -> None:
    assert browse(site, tmp_path, model="missing")["said"].endswith(".json: 404 File not found")
    assert browse(site, tmp_path, model="../elsewhere")["said"].startswith("model: expected the name of a folder")
