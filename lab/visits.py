"""Runs a command inside a host for somebody outside, without keeping the host from shutting down."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence


def visit(command: Sequence[str]) -> int:
    """Run nsenter with its own terminal, input and output; gives back its exit code, as a shell would.

    A host that shuts down stops all of its processes before it ends them (systemd-shutdown(8)). nsenter stops
    itself when its child does, and would never go on: the child stays unburied, and with it the host's whole
    process namespace. So it is told to go on.
    """
    # Ctrl-C is for the command inside.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, before)) as nsenter:
            while True:
                _, status = os.waitpid(nsenter.pid, os.WUNTRACED)
                if not os.WIFSTOPPED(status):
                    nsenter.returncode = os.waitstatus_to_exitcode(status)
                    break
                time.sleep(0.05)
                os.kill(nsenter.pid, signal.SIGCONT)
    finally:
        signal.signal(signal.SIGINT, before)
    code = nsenter.returncode
    return code if code >= 0 else 128 - code
