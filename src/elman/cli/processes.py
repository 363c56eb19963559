"""`elman train --processes N`: torch's launcher starts this very command N times on this machine."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence

from elman.errors import UserError


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `elman` with these arguments in several processes, each with its part of the cores, and return the exit code.

    The first process that fails ends the others, and its exit code is the result.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from elman.environment import cores

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    # Port 0: the launcher's own store picks a free port.
    config = LaunchConfig(
        1, 1, processes, rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id="elman", max_restarts=0
    )
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the processes say what is wrong
    try:
        elastic_launch(config, sys.executable)("-m", "elman", *arguments)
    except ChildFailedError as error:
        # A process that is killed, or ends in an error, ends the others too: what rank 0 says comes first.
        rank, first = min(error.failures.items(), key=lambda one: (not _is_killed(one[1].exitcode), one[0]))
        if first.exitcode < 0:
            what = f"rank {rank} was killed by signal {-first.exitcode}"
            raise UserError(what, remedy="everything up to the last checkpoint is saved: go on with --resume") from None
        if rank:  # rank 0 has said its own
            message = first.message if isinstance(first.message, str) else first.message["message"]
            raise UserError(f"rank {rank}: {message}", exit_code=first.exitcode) from None
        return first.exitcode
    except SignalException as error:
        return 128 + error.sigval
    return 0


def _is_killed(exit_code: int) -> bool:
    return exit_code < 0 and exit_code != -signal.SIGTERM  # with which the launcher ends the others
