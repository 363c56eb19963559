"""`elman env`: this machine, its packages, and the backends of the recurrent cells."""

from __future__ import annotations

from collections.abc import Sequence

from elman.cli.options import Json
from elman.display import print_json


def command(as_json: Json = False) -> None:
    """Show versions, processor, threads, and which backend serves each recurrent cell."""
    from elman.environment import EXTRAS, describe

    report = describe()
    if as_json:
        print_json(report)
        return
    names = ("elman", "python", "platform", "processor", "native", "cores", "threads")
    lines = [(name, str(report[name] or "not built")) for name in names]
    lines.append(("processes", f"{report['processes']} (messages by {', '.join(report['messages']) or 'nothing'})"))
    lines.append(("devices", ", ".join(report["devices"])))
    for name, version in report["packages"].items():
        lines.append((name, version or f"not installed: pip install elman[{EXTRAS[name]}]"))
    _print_columns(lines)
    print("backends")
    keys = ("cell", "device", "backend", "why")
    _print_columns([[row[key] for key in keys] for row in report["backends"]], "  ")


def _print_columns(rows: Sequence[Sequence[str]], indent: str = "") -> None:
    """Print rows in columns, each as wide as its longest word but the last."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for row in rows:
        print(indent + "".join(f"{word:{width}}  " for word, width in zip(row, widths, strict=False)) + row[-1])
