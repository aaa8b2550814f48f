"""What becomes of a volume: made when blank, checked and grown when ours, refused when anything else.

On plain files, with the real tools; mounted on real hosts in tests/lab/test_data.py.
"""

import hashlib
import os
import subprocess

import pytest

from tests.local.test_host_scripts import HOST, refusal

MIB = 2**20
ENVIRONMENT = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


@pytest.fixture
def device(tmp_path):
    """A blank volume of 64 MiB."""
    path = tmp_path / "volume"
    grow(path, 64)
    return path


def grow(path, mebibytes):
    with path.open("ab") as file:
        file.truncate(mebibytes * MIB)


def write(path, at, content):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def tool(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout


def prepare(device, role="db"):
    return subprocess.run(
        [HOST / "data-volume", "prepare", device, role],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
    )


def accepted(done):
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def superblock(device):
    lines = tool("dumpe2fs", "-h", device).splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def bytes_of(device):
    told = superblock(device)
    return int(told["Block count"]) * int(told["Block size"])


def holding(device, path):
    """What the file `path` in the file system says; "" when there is none."""
    return tool("debugfs", "-R", f"cat {path}", device)


def put(device, path, content, tmp_path):
    (tmp_path / "content").write_text(content)
    tool("debugfs", "-w", "-R", f"write {tmp_path / 'content'} {path}", device)


def test_a_blank_volume_gets_a_file_system_that_says_whose_it_is(device):
    assert "is blank: making a file system for the role db" in accepted(prepare(device))
    assert superblock(device)["Filesystem volume name"] == "corral-db"
    assert bytes_of(device) == 64 * MIB


def test_the_longest_role_has_room_in_the_label(device):
    accepted(prepare(device, "release"))
    assert superblock(device)["Filesystem volume name"] == "corral-release"


def test_what_is_on_it_stays(device, tmp_path):
    accepted(prepare(device))
    put(device, "history", "what was said", tmp_path)
    before = superblock(device)["Filesystem UUID"]
    accepted(prepare(device))
    assert superblock(device)["Filesystem UUID"] == before
    assert holding(device, "history") == "what was said"


def test_a_volume_that_grew_has_a_bigger_file_system_with_the_same_data(device, tmp_path):
    accepted(prepare(device))
    put(device, "history", "what was said", tmp_path)
    grow(device, 100)
    assert f"growing the file system of {device} to {100 * MIB} bytes" in accepted(prepare(device))
    assert bytes_of(device) == 100 * MIB
    assert holding(device, "history") == "what was said"
    assert "growing" not in accepted(prepare(device))


def test_small_faults_are_mended(device, tmp_path):
    accepted(prepare(device))
    put(device, "history", "what was said", tmp_path)
    # As after a host that was cut off: not unmounted, and a count that is not right.
    tool("debugfs", "-w", "-R", "set_super_value free_blocks_count 5", device)
    tool("debugfs", "-w", "-R", "set_super_value state 0", device)
    accepted(prepare(device))
    assert superblock(device)["Filesystem state"] == "clean"
    assert holding(device, "history") == "what was said"


def test_great_faults_are_left_to_people(device):
    accepted(prepare(device))
    # The root directory is a file of no kind.
    tool("debugfs", "-w", "-R", "set_inode_field <2> mode 0", device)
    tool("debugfs", "-w", "-R", "set_super_value state 0", device)
    done = prepare(device)
    assert done.returncode == 1
    assert f"e2fsck -f {device}" in done.stderr.splitlines()[-1]


def partitions(device):
    """One partition in a table of DOS's kind."""
    entry = bytes([0, 0, 2, 0, 0x83, 0, 1, 0]) + (2048).to_bytes(4, "little") + (8192).to_bytes(4, "little")
    write(device, 446, entry + bytes(48) + b"\x55\xaa")


FOREIGN = {
    "another role's": (
        lambda device: prepare(device, "elk"),
        "an ext4 with the label 'corral-elk', and this host's role is db",
    ),
    "nobody's ext4": (lambda device: tool("mkfs.ext4", "-q", device), "an ext4 with the label ''"),
    "an ext3": (
        lambda device: tool("mkfs.ext3", "-q", "-L", "corral-db", device),
        "no ext4 of corral's, but ext3",
    ),
    "swap": (lambda device: tool("mkswap", device), "no ext4 of corral's, but swap"),
    "partitions": (partitions, "no ext4 of corral's, but a partition table (dos)"),
    "two file systems": (
        lambda device: (prepare(device), write(device, 65536 + 64, b"_BHRfS_M")),
        "but more than one thing, says blkid (ext4 btrfs)",
    ),
    "bytes at its start": (lambda device: write(device, 12345, b"x"), "but data that no tool knows"),
    "bytes at its end": (lambda device: write(device, 64 * MIB - 1, b"x"), "but data that no tool knows"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_anything_else_is_refused_in_one_line_and_not_touched(device, kind):
    make, said = FOREIGN[kind]
    make(device)
    before = hashlib.sha256(device.read_bytes()).hexdigest()
    refused = refusal(prepare(device))
    assert said in refused
    assert "It was not touched." in refused
    assert "docs/data.md" in refused
    assert hashlib.sha256(device.read_bytes()).hexdigest() == before


def test_what_can_not_be_read_in_full_is_not_blank(device):
    os.truncate(device, 1000)
    refusal(prepare(device))
    assert device.read_bytes() == bytes(1000)


def test_what_is_not_there_is_refused(tmp_path):
    assert "can't be read" in refusal(prepare(tmp_path / "nothing"))


@pytest.mark.parametrize("words", [[], ["mount", "vol-1"], ["format", "x", "db"]])
def test_wrong_words_get_the_usage(words):
    done = subprocess.run([HOST / "data-volume", *words], capture_output=True, text=True, env=ENVIRONMENT)
    assert "usage: data-volume mount" in refusal(done)
