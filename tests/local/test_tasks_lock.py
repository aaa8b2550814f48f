"""The converge lock: held for as long as the connection lasts, by one at a time: real shells and flock."""

import subprocess
import time

import pytest

from tasks.lib.shell import command_line


@pytest.fixture
def connect(tmp_path):
    """Opens what looks like a connection of sshd's: a process of that name runs a command and stays."""
    sshd = tmp_path / "sshd"
    sshd.symlink_to("/bin/sh")
    opened = []

    def open_one(command):
        script = tmp_path / f"command-{len(opened)}"
        script.write_text(command)
        # The shell between is sudo's.
        text = f"sh -c 'sh {script}; echo code $?'; read -r end"
        process = subprocess.Popen(
            [sshd, "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        opened.append(process)
        return process

    yield open_one
    for process in opened:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def lock_command(tmp_path, seconds=1):
    return command_line("lock.sh", str(tmp_path / "run" / "converge.lock"), str(seconds))


def is_free(tmp_path):
    lock = tmp_path / "run" / "converge.lock"
    return subprocess.run(["flock", "-n", lock, "true"], check=False).returncode == 0


def becomes_free(tmp_path, seconds=10):
    end = time.monotonic() + seconds
    while not is_free(tmp_path):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def test_it_is_held_after_its_command_and_until_the_connection_ends(tmp_path, connect):
    connection = connect(lock_command(tmp_path))
    assert connection.stdout.readline() == "held\n"
    assert connection.stdout.readline() == "code 0\n"
    assert not is_free(tmp_path)
    connection.kill()
    connection.wait()
    assert becomes_free(tmp_path)


def test_a_second_converge_waits_and_is_refused_with_a_sentence(tmp_path, connect):
    first = connect(lock_command(tmp_path))
    assert first.stdout.readline() == "held\n"
    second = connect(lock_command(tmp_path))
    said = second.stdout.readline()
    assert said.startswith("corral: this host has been converging itself for 1 s;")
    assert second.stdout.readline() == "code 1\n"
    # The first one's is untouched.
    assert not is_free(tmp_path)


def test_a_second_converge_goes_on_when_the_first_is_done(tmp_path, connect):
    first = connect(lock_command(tmp_path))
    assert first.stdout.readline() == "held\n"
    second = connect(lock_command(tmp_path, seconds=20))
    first.kill()
    first.wait()
    assert second.stdout.readline() == "held\n"


def test_nothing_is_left_behind_but_the_lock(tmp_path, connect):
    connection = connect(lock_command(tmp_path))
    connection.stdout.readline()
    connection.stdout.readline()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["converge.lock"]
