"""Commands forked off a process that has imported everything, so that many of them take seconds, not minutes."""

import contextlib
import os
import sys

from nharness.cli.main import main


def fork(argv, said, *, leader=False):
    """Start `nharness` with these arguments and return its process id; what it prints is added to the file `said`.

    leader: of a process group of its own.
    """
    pid = os.fork()
    if pid:
        return pid
    if leader:
        os.setsid()
    with said.open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    code = 70
    with contextlib.suppress(BaseException):
        code = main(argv)
    sys.stdout.flush()
    os._exit(code)
