"""config_files killed at each of its steps: what is left, and what the next converge makes of it."""

import os
import shutil
import textwrap
from concurrent.futures import ThreadPoolExecutor

from tasks.lib.files import Link
from tests.local.files_shell import Shell, different, entries, file, folder

# No two of these ever run at once, so their count is exact.
KILLED_AT = [
    "chmod",
    "chown",
    "cp",
    "ln",
    "mkdir",
    "mknod",
    "mv",
    "readlink",
    "rm",
    "sha256sum",
    "sync",
    "tar",
]


def shims(folder, pid_file, at):
    """Commands that stand before the real ones and count their calls; call number `at` kills the script."""
    folder.mkdir()
    (folder / "count").write_text("0\n")
    for name in KILLED_AT:
        (folder / name).write_text(
            textwrap.dedent(f"""\
                #!/bin/sh
                read -r count <'{folder}/count'
                count=$((count + 1))
                echo $count >'{folder}/count'
                [ $count != {at} ] || {{ read -r pid <'{pid_file}'; kill -9 "$pid"; exit 9; }}
                exec {shutil.which(name)} "$@"
                """)
        )
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def killed_at(root, at):
    """Lets a converge die at its command number `at` (0: none), looks, repairs. Says how many it called."""
    etc = root / "etc"
    etc.mkdir(parents=True)
    shell = Shell(root)
    (etc / "old").write_text("old\n")
    (etc / "d").mkdir()
    (etc / "d" / "surplus").touch()
    wanted = entries(
        folder(etc / "d", purge=True),
        file(etc / "old"),
        file(etc / "d" / "added"),
        Link(str(etc / "l"), target="x"),
    )
    path = shims(root / "bin", shell.pid, at)
    code, _ = shell.apply(wanted, check=f"grep -qx new '{etc}/old'", path=path)
    assert (code == 0) == (at == 0), at

    # Nothing half-written: each file is wholly old or wholly new; and where anything is new, a marker is
    # left.
    assert (etc / "old").read_text() in {"old\n", "new\n"}, at
    assert not (etc / "d" / "added").exists() or (etc / "d" / "added").read_text() == "new\n", at
    pending = different(wanted)
    if len(pending) < len(wanted):
        assert shell.marks() == ["restart/site.service"], at

    # The next converge reads the state anew and finishes the work.
    if pending:
        assert shell.apply(pending) == (0, ""), at
        assert shell.left_behind(root) == [], at
    assert different(wanted) == [], at
    assert shell.marks() == ["restart/site.service"], at
    return int((root / "bin" / "count").read_text())


def test_killed_at_any_step_it_leaves_whole_files_and_the_next_run_repairs_it(tmp_path):
    steps = killed_at(tmp_path / "0", 0)
    assert steps > 30, "the shims are not called any more"
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(killed_at, tmp_path / str(at), at) for at in range(1, steps + 1)]:
            done.result()
