"""Runs exported models in every runtime that is installed, for the table in docs/en/reference/runtimes.md.

    python tests/interop/runtimes.py export FOLDER              with elman: a small model of every cell and task
    python tests/interop/runtimes.py run FOLDER [-o FILE]       with the runtimes: reads them, and writes the table

The first step stores each graph, and the calls by which elman's own check compares it with the model: the run's data in
pieces, the state passed on, at several batch and time sizes, with onnxruntime's outputs. The second step gives each
runtime the same inputs, and compares. It needs NumPy, onnx and the runtimes alone; a runtime reads each model in a
process of its own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-4
SECONDS = 120  # of one runtime with one model
BEGIN, END = "<!-- runtimes: written by make interop -->", "<!-- end -->"
SMALL = ["hidden_size=8", "embedding_size=6"]
LANES = ["lanes=4", "k1=8"]
CASES = {  # arguments of `elman train` beside the data
    "LSTM": ("text", "lstm", [*SMALL, *LANES, "num_layers=2"]),
    "GRU": ("text", "gru", [*SMALL, *LANES]),
    "Elman": ("text", "elman", [*SMALL, *LANES]),
    "minGRU": ("text", "mingru", [*SMALL, *LANES]),
    "sLSTM": ("text", "slstm", [*SMALL, *LANES]),
    "LSTM, layer norm": ("text", "lstm", [*SMALL, *LANES, "layer_norm=true"]),
    "LSTM, peepholes": ("text", "lstm", [*SMALL, *LANES, "peepholes=true"]),
    "Transformer": ("text", "transformer", [*LANES, "hidden_size=8", "num_heads=2", "num_layers=2", "window=8"]),
    "tagger": ("tags", None, SMALL),
    "classifier": ("labels", None, SMALL),
    "forecaster": ("series", None, ["horizon=3", "window=12", "hidden_size=8"]),
    "encoder-decoder": ("pairs", None, SMALL),
}


# --- with elman


def export(folder: Path) -> None:
    """A folder for each case: the graphs, and the calls with onnxruntime's outputs."""
    from elman.cli import run as command

    data = _data(folder / "data")
    for name, (kind, model, settings) in CASES.items():
        out = folder / name.replace(" ", "_")
        arguments = ["train", str(data[kind]), "-o", str(out / "run"), "--steps", "2", "--overwrite"]
        arguments += ["--model", model] if model else []
        code = command([*arguments, *(part for setting in settings for part in ("--set", setting))])
        assert code == 0, name
        _record(name, out)


def _data(folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(120)
    labelled = "".join(f"a {'good' if n % 2 else 'bad'} day {n},{n % 2}\n" for n in numbers)
    tagged = "".join(f"a DET\n{'cat' if n % 2 else 'dog'}{n} NOUN\nsleeps VERB\n\n" for n in numbers)
    series = "".join(f"{name},{at},{(at + ord(name)) % 7}\n" for name in "ab" for at in range(160))
    texts = {
        "text": ("t.txt", "the cat sat on a mat and " * 200),
        "pairs": ("pairs.tsv", "".join(f"{n:03d}\t{f'{n:03d}'[::-1]}\n" for n in numbers)),
        "labels": ("labels.csv", f"text,label\n{labelled}"),
        "tags": ("tags.conll", tagged),
        "series": ("series.csv", f"unique_id,ds,y\n{series}"),
    }
    for name, text in texts.values():
        (folder / name).write_text(text, encoding="utf-8")
    return {kind: folder / name for kind, (name, _) in texts.items()}


def _record(name: str, out: Path) -> None:
    import elman
    from elman.export.onnx.check import OPENERS, difference
    from elman.export.onnx.drawing import draw
    from elman.export.options import ExportOptions

    run = elman.load(out / "run")
    run.model.eval()
    drawing = draw(run, ExportOptions())
    models = {graph: each.model({}).SerializeToString() for graph, each in drawing.graphs.items()}
    call, calls, arrays = OPENERS["onnxruntime"](models), list[dict[str, Any]](), dict[str, np.ndarray]()

    def recorded(graph: str, feeds):
        found = call(graph, feeds)
        for kind, parts in (("in", feeds), ("out", found)):
            arrays.update({f"{len(calls)}/{kind}/{key}": np.asarray(value) for key, value in parts.items()})
        calls.append({"graph": graph, "in": [*feeds], "out": [*found]})
        return found

    observed, worst = run.task.observe(run, ()), 0.0
    for found in drawing.trial(observed, recorded):
        worst = max([worst, *(difference(a, b) for a, b in zip(found.ours, found.theirs, strict=True))])
    assert worst <= TOLERANCE, f"{name}: onnxruntime differs by {worst}"
    for graph, model in models.items():
        (out / f"{graph}.onnx").write_bytes(model)
    shapes = {tuple(arrays[f"{n}/in/{key}"].shape[:2]) for n, each in enumerate(calls) for key in each["in"][:1]}
    np.savez(out / "calls.npz", calls=np.array(json.dumps({"calls": calls, "worst": worst})), **arrays)
    print(f"{name}: {len(calls)} calls of the sizes {sorted(shapes)}, onnxruntime differs by {worst:.1e}")


# --- with the runtimes: each opens a graph and returns a function of its inputs


def onnxruntime(path: Path) -> Callable:
    import onnxruntime as ort

    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, feeds), strict=True))


def openvino(path: Path) -> Callable:
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda feeds: {name: value for port, value in compiled(feeds).items() for name in port.names}


def reference(path: Path) -> Callable:
    import onnx
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.load(path))
    return lambda feeds: dict(zip(evaluator.output_names, evaluator.run(None, feeds), strict=True))


def tract(path: Path) -> Callable:
    import tract as library

    inputs, outputs = _ports(path)
    runnable = library.onnx().load(str(path)).into_model().into_runnable()

    def run(feeds: dict) -> dict:
        values = runnable.run([feeds[name] for name in inputs])
        return {name: value.to_numpy() for name, value in zip(outputs, values, strict=True)}

    return run


def opencv(path: Path) -> Callable:
    import cv2

    net, (_, outputs) = cv2.dnn.readNetFromONNX(str(path)), _ports(path)

    def run(feeds: dict) -> dict:
        for name, value in feeds.items():
            net.setInput(value, name)
        return dict(zip(outputs, net.forward(outputs), strict=True))

    return run


def mnn(path: Path) -> Callable:
    """One conversion for every shape of inputs: with open sizes and a state, its outputs are empty."""
    import MNN
    import onnx

    _, outputs = _ports(path)
    nets: dict[str, Any] = {}  # by the shapes

    def converted(feeds: dict) -> Any:
        model = onnx.load(path)
        for port in model.graph.input:
            for dim, size in zip(port.type.tensor_type.shape.dim, feeds[port.name].shape, strict=True):
                dim.dim_value = size
        with tempfile.TemporaryDirectory() as folder:
            onnx.save(model, f"{folder}/m.onnx")
            files = ["--modelFile", f"{folder}/m.onnx", "--MNNModel", f"{folder}/m.mnn"]
            code = "import sys; from MNN.tools.mnnconvert import main; sys.exit(main())"
            arguments = [sys.executable, "-c", code, "-f", "ONNX", *files, "--bizCode", "x"]
            subprocess.run(arguments, check=True, capture_output=True)
            return MNN.nn.load_module_from_file(f"{folder}/m.mnn", [*feeds], outputs)

    def run(feeds: dict) -> dict:
        key = str([value.shape for value in feeds.values()])
        nets[key] = nets.get(key) or converted(feeds)
        values = [value.astype(np.int32) if value.dtype == np.int64 else value for value in feeds.values()]
        kinds = [MNN.expr.int if value.dtype == np.int32 else MNN.expr.float for value in values]
        given = [MNN.expr.const(v.copy(), [*v.shape], MNN.expr.NCHW, k) for v, k in zip(values, kinds, strict=True)]
        return {name: np.array(value.read()) for name, value in zip(outputs, nets[key].forward(given), strict=True)}

    return run


def _ports(path: Path) -> tuple[list[str], list[str]]:
    import onnx

    graph = onnx.load(path).graph
    return [port.name for port in graph.input], [port.name for port in graph.output]


RUNTIMES = {  # by the name of the package
    "onnxruntime": onnxruntime, "openvino": openvino, "onnx": reference, "tract": tract,
    "opencv-python-headless": opencv, "mnn": mnn,
}  # fmt: skip
TITLES = {"onnx": "ONNX's reference", "opencv-python-headless": "OpenCV", "mnn": "MNN, static", "openvino": "OpenVINO"}


def tried(name: str, case: Path) -> str:
    """What one runtime makes of one case, in words for the table."""
    stored = np.load(case / "calls.npz")
    about = json.loads(str(stored["calls"]))
    # onnxruntime's numbers are compared with elman's, and those of the others with onnxruntime's.
    calls, worst, graphs = about["calls"], about["worst"] if name == "onnxruntime" else 0.0, {}
    for number, call in enumerate(calls):
        if call["graph"] not in graphs:
            graphs[call["graph"]] = RUNTIMES[name](case / f"{call['graph']}.onnx")
        found = graphs[call["graph"]]({key: stored[f"{number}/in/{key}"] for key in call["in"]})
        for key in call["out"]:
            expected, value = stored[f"{number}/out/{key}"], np.asarray(found[key])
            if value.shape != expected.shape:
                return f"wrong: a shape of {value.shape} for {expected.shape}" if value.size else "wrong: no output"
            apart = np.abs(value.astype(float) - expected) / np.maximum(1, np.abs(expected))
            worst = max(worst, float(apart.max(initial=0)) if not np.isnan(apart).any() else np.inf)
    return f"right ({worst:.0e})" if worst <= TOLERANCE else f"wrong by {worst:.1g}"


def table(folder: Path) -> str:
    """The runtimes that are installed, and what each makes of every model, as Markdown."""
    installed = {}
    for package in RUNTIMES:
        try:
            installed[package] = version(package)
        except importlib.metadata.PackageNotFoundError:
            print(f"{package} is not installed", file=sys.stderr)
    rows = [["model", *(f"{TITLES.get(package, package)} {number}" for package, number in installed.items())]]
    rows.append(["---"] * len(rows[0]))
    for case in CASES:
        row = [case]
        for package in installed:
            arguments = [sys.executable, __file__, "one", package, str(folder / case.replace(" ", "_"))]
            try:
                done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS)
                last = (done.stdout.strip().splitlines() or [""])[-1]
                row.append(last if done.returncode == 0 else "refuses it")
                if done.returncode:
                    reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
                    print(f"{case}, {package}: {reason[:300]}", file=sys.stderr)
            except subprocess.TimeoutExpired:
                row.append(f"not in {SECONDS} s")
        rows.append(row)
        print(" | ".join(row), file=sys.stderr)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(path: Path, rows: str) -> None:
    """The table in its place between two comments."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, closed, after = rest.partition(END)
    assert closed, f"{path} has no place for the table"
    path.write_text(f"{before}{BEGIN}\n{rows}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["export", "run", "one"])
    parser.add_argument("given", nargs="+", metavar="FOLDER")
    parser.add_argument("-o", "--out", type=Path, help="a Markdown file with a place for the table")
    arguments = parser.parse_args()
    if arguments.what == "export":
        export(Path(arguments.given[0]))
    elif arguments.what == "one":
        print(tried(arguments.given[0], Path(arguments.given[1])))
    else:
        rows = table(Path(arguments.given[0]))
        print(rows)
        if arguments.out:
            write(arguments.out, rows)
