"""Runs what config_files would run on a host, in a folder of this machine."""

import grp
import os
import pwd
import subprocess
from contextlib import suppress

from tasks.lib.files import Directory, File, apply_command, pack
from tasks.lib.files_state import parse
from tasks.lib.files_wanted import resolve_set
from tasks.lib.shell import command_line

OWNER = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name


def file(path, content="new\n", **more):
    return File(str(path), content=content, owner=OWNER, group=GROUP, **more)


def folder(path, **more):
    return Directory(str(path), owner=OWNER, group=GROUP, **more)


def entries(*wanted):
    return resolve_set(wanted, {})


def read(wanted):
    """What the fact says of the paths of `wanted`, through the real script."""
    paths = [entry.asked for entry in wanted]
    output = subprocess.run(
        ["sh", "-c", command_line("files_state.sh", *paths)], capture_output=True, check=True, timeout=20
    ).stdout
    return parse(paths, output.decode("ascii").splitlines())


def different(wanted):
    now = read(wanted)
    return [entry for entry in wanted if not entry.stands(now.get(entry.asked))]


class Shell:
    """Runs the command of the operation as pyinfra would, with the run directory below a temporary folder."""

    def __init__(self, root):
        self.run = root / "run"
        self.pid = root / "pid"

    def start(self, wanted, check="", marks=("restart/site.service",), stdin=None, path=None):
        command = apply_command(wanted, check, list(marks), run=str(self.run))
        process = subprocess.Popen(
            ["sh", "-c", f"echo $$ > '{self.pid}'\n{command.get_raw_value()}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PATH": path or os.environ["PATH"]},
        )
        with suppress(BrokenPipeError):  # whoever is killed at once reads nothing
            process.stdin.write(pack(wanted) if stdin is None else stdin)
            process.stdin.close()
        process.stdin = None
        return process

    def apply(self, wanted, **more):
        process = self.start(wanted, **more)
        out, err = process.communicate(timeout=60)
        return process.returncode, out + err

    def marks(self):
        return sorted(
            str(path.relative_to(self.run))
            for kind in ("restart", "reload")
            for path in self.run.glob(f"{kind}/*")
        )

    def left_behind(self, root):
        return [path for path in root.rglob("*") if "corral-new" in path.name] + list(self.run.glob("stage*"))
