"""Runs a command inside a host for somebody outside, without keeping the host from shutting down."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def visit(leader: int, command: Sequence[str]) -> int:
    """Run a command as root in a host; gives back its exit code, as a shell would.

    `leader`: pid of the host's pid 1. The command has this process's terminal, input and output.

    A host that shuts down stops all of its processes before it ends them (systemd-shutdown(8)). nsenter stops
    itself when its child does, and would never go on: the child stays unburied, and with it the host's whole
    process namespace. So it is told to go on.
    """
    enter = ["nsenter", f"--target={leader}", "--all", "--root", "--wdns=/root"]
    environment = ["HOME=/root", "USER=root", f"TERM={os.environ.get('TERM', 'dumb')}", f"PATH={PATH}"]
    words = [*enter, "env", "-i", *environment, *command]
    # Ctrl-C is for the command inside.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with subprocess.Popen(words, preexec_fn=lambda: signal.signal(signal.SIGINT, before)) as nsenter:
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


if __name__ == "__main__":
    # LEADER COMMAND…: `corral lab shell` for who knows the pid, in a tenth of its time.
    sys.exit(visit(int(sys.argv[1]), sys.argv[2:]))
