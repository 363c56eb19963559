"""`python -m elman_runner` is `elman-run`."""

import sys

from elman_runner.command import main

if __name__ == "__main__":
    sys.exit(main())
