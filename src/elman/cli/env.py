"""`elman env`: this machine, its packages, and the backends of the recurrent cells."""

from __future__ import annotations

from elman.cli.options import Json
from elman.display import print_json


def command(as_json: Json = False) -> None:
    """Show versions, processor, threads, and which backend serves each recurrent cell."""
    from elman.environment import EXTRAS, describe

    report = describe()
    if as_json:
        print_json(report)
        return
    for name in ("elman", "python", "platform", "processor", "native", "cores", "threads"):
        print(f"{name:14}{report[name] or 'not built'}")
    print(f"{'processes':14}{report['processes']} (messages by {', '.join(report['messages']) or 'nothing'})")
    print(f"{'devices':14}{', '.join(report['devices'])}")
    for name, version in report["packages"].items():
        print(f"{name:14}{version or f'not installed: pip install elman[{EXTRAS[name]}]'}")
    print("backends")
    for row in report["backends"]:
        print(f"  {row['cell']:11}{row['device']:6}{row['backend']:11}{row['why']}")
