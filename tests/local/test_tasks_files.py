"""config_files against a real shell: what it reads and changes, and what it refuses."""

import os
import time

import pytest
from pyinfra.api.exceptions import FactProcessError, OperationValueError

from tasks.lib.files import Absent, Directory, File, Link, apply_command, pack
from tasks.lib.files_state import parse
from tasks.lib.files_wanted import resolve
from tasks.lib.services import markers
from tasks.lib.shell import checked_path
from tests.local.files_shell import GROUP, Shell, different, entries, file, folder, read

ODD_NAMES = [
    "with space",
    "it's",
    'quo"te',
    "-dash",
    "$HOME",
    "a:b,c",
    "back\\nslash",
    "ümläut",
    ".hidden",
    "*",
    "%s",
]


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


def test_everything_is_brought_to_its_place_and_then_nothing_differs(shell, etc):
    (etc / "old").write_text("old\n")
    (etc / "gone").write_text("to be removed\n")
    wanted = entries(
        folder(etc / "site.d", mode="750"),
        file(etc / "old", "new\n", mode="600"),
        file(etc / "site.d" / "binary", bytes(range(256)), mode="0755"),
        file(etc / "deep" / "er" / "file"),
        Link(str(etc / "link"), target="../some where/élse"),
        Absent(str(etc / "gone")),
    )
    assert different(wanted) == wanted
    assert shell.apply(wanted) == (0, "")

    assert (etc / "old").read_text() == "new\n"
    assert (etc / "old").stat().st_mode & 0o7777 == 0o600
    assert (etc / "site.d" / "binary").read_bytes() == bytes(range(256))
    assert (etc / "site.d").stat().st_mode & 0o7777 == 0o750
    assert (etc / "deep").stat().st_mode & 0o7777 == 0o755
    assert (etc / "link").readlink().as_posix() == "../some where/élse"
    assert not (etc / "gone").exists()
    assert different(wanted) == []
    assert shell.marks() == ["restart/site.service"]
    assert shell.left_behind(etc) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names_like_others(shell, etc, name):
    wanted = entries(file(etc / name), folder(etc / "d" / name), file(etc / "d" / name / name, "in\n"))
    code, said = shell.apply(wanted, check=":")
    assert (code, said) == (0, "")
    assert (etc / name).read_text() == "new\n"
    assert (etc / "d" / name / name).read_text() == "in\n"
    assert different(wanted) == []


def test_what_stands_at_a_path_may_be_called_and_contain_what_it_likes(etc):
    (etc / "link").symlink_to(os.fsdecode(b"\xff\xfe\n'"))
    (etc / "file").write_bytes(b"\xff\x00\n")
    (etc / "fifo").touch()
    (etc / "fifo").unlink()
    os.mkfifo(etc / "fifo")
    now = read(entries(file(etc / "link"), file(etc / "file"), file(etc / "fifo"), file(etc / "none")))
    assert {path.rsplit("/")[-1]: state.kind for path, state in now.items()} == {
        "link": "link",
        "file": "file",
        "fifo": "other",
    }


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("damaged\n"),
        lambda path: path.write_text("new"),
        lambda path: path.chmod(0o640),
        lambda path: path.chmod(0o4644),
        lambda path: path.unlink(),
        lambda path: (path.rename(f"{path}.away"), path.symlink_to(f"{path}.away")),
    ],
)
def test_damage_is_seen_and_repaired(shell, etc, damage):
    wanted = entries(file(etc / "one"), file(etc / "other"))
    shell.apply(wanted)
    damage(etc / "one")
    assert different(wanted) == wanted[:1]
    assert shell.apply(different(wanted))[0] == 0
    assert different(wanted) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_wrong_owner_is_seen_and_repaired_and_may_be_a_number(shell, etc):
    wanted = entries(file(etc / "one"), File(str(etc / "two"), content="", owner="1", group="daemon"))
    shell.apply(wanted)
    assert different(wanted) == []
    os.chown(etc / "one", 12345, -1)
    assert different(wanted) == wanted[:1]
    shell.apply(different(wanted))
    assert different(wanted) == []


def test_a_link_that_points_elsewhere_is_seen_and_repaired(shell, etc):
    wanted = entries(Link(str(etc / "link"), target="right"))
    (etc / "link").symlink_to("wrong")
    assert different(wanted) == wanted
    shell.apply(wanted)
    assert (etc / "link").readlink().as_posix() == "right"


def test_a_refused_set_changes_nothing_and_says_why(shell, etc):
    (etc / "old").write_text("old\n")
    before = (etc / "old").stat()
    wanted = entries(file(etc / "old"), file(etc / "added"), folder(etc / "made"))
    code, said = shell.apply(wanted, check="echo 'line 7: no such directive'; exit 3")

    assert code == 1
    assert "no such directive" in said
    assert "nothing was changed" in said
    assert (etc / "old").read_text() == "old\n"
    assert (etc / "old").stat().st_ino == before.st_ino
    assert sorted(path.name for path in etc.iterdir()) == ["old"]
    assert shell.marks() == []
    assert shell.left_behind(etc) == []


def test_the_check_sees_the_new_set_while_others_see_the_old(shell, etc, tmp_path):
    (etc / "conf.d").mkdir()
    for name in ("kept", "changed", "gone"):
        (etc / "conf.d" / name).write_text("old\n")
    wanted = entries(
        file(etc / "conf.d" / "changed"),
        file(etc / "conf.d" / "added"),
        file(etc / "main"),
        folder(etc / "new.d"),
        file(etc / "new.d" / "inner"),
        Link(str(etc / "link"), target="conf.d/changed"),
        Absent(str(etc / "conf.d" / "gone")),
    )
    check = f"""
        cd '{etc}' && head -n 1 conf.d/* main new.d/inner link > '{tmp_path}/seen'
        touch '{tmp_path}/ready'
        until test -e '{tmp_path}/go'; do sleep 0.02; done
    """
    process = shell.start(wanted, check=check)
    deadline = time.monotonic() + 20
    while not (tmp_path / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    outside = {str(path.relative_to(etc)): path.read_text() for path in etc.rglob("*") if path.is_file()}
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=20)

    assert (process.returncode, out + err) == (0, "")
    assert outside == {"conf.d/kept": "old\n", "conf.d/changed": "old\n", "conf.d/gone": "old\n"}
    assert (tmp_path / "seen").read_text().split("\n\n") == [
        "==> conf.d/added <==\nnew",
        "==> conf.d/changed <==\nnew",
        "==> conf.d/kept <==\nold",
        "==> main <==\nnew",
        "==> new.d/inner <==\nnew",
        "==> link <==\nnew\n",
    ]
    assert different(wanted) == []


@pytest.mark.parametrize("check", ["", "ls -A '{}' >'{}/seen'"])
def test_what_a_purged_folder_should_not_have_goes_and_its_folders_stay(shell, etc, tmp_path, check):
    (etc / "in.d").mkdir()
    wanted = entries(
        folder(etc / "in.d", purge=True),
        file(etc / "in.d" / "a.yml"),
        Link(str(etc / "in.d" / "b.yml"), target="a.yml"),
        Absent(str(etc / "in.d" / "old.yml")),
        file(etc / "beside"),
    )
    (etc / "in.d" / "theirs").mkdir()
    (etc / "in.d" / "theirs" / "treasure").touch()
    (etc / "in.d" / "old.yml").touch()
    shell.apply(wanted)
    assert different(wanted) == []
    surplus = [etc / "in.d" / name for name in [*ODD_NAMES, "a.yml.bak", "a.yml\nb.yml"]]
    for each in surplus:
        each.touch()
        assert different(wanted) == wanted[:1], each
        each.unlink()
    for each in surplus:
        each.touch()
    (etc / "in.d" / "dead").symlink_to("nowhere")
    (etc / "in.d" / "folder").symlink_to("theirs")
    (etc / "in.d" / "old.yml").touch()
    assert shell.apply(different(wanted), check=check.format(etc / "in.d", tmp_path)) == (0, "")
    left = ["a.yml", "b.yml", "theirs"]
    assert sorted(path.name for path in (etc / "in.d").iterdir()) == left
    assert (etc / "in.d" / "theirs" / "treasure").exists()
    assert not check or (tmp_path / "seen").read_text().split() == left
    assert different(wanted) == []


def test_a_link_in_the_place_of_a_purged_folder_is_left_to_people(shell, etc):
    (etc / "real").mkdir()
    (etc / "real" / "treasure").touch()
    (etc / "in.d").symlink_to("real")
    wanted = entries(folder(etc / "in.d", purge=True))
    assert different(wanted) == wanted
    assert "is a file or link and should be a folder" in shell.apply(wanted)[1]
    assert (etc / "real" / "treasure").exists()


def test_output_that_is_no_text_does_not_hide_the_rest(shell, etc):
    code, said = shell.apply(entries(file(etc / "x")), check="printf 'bad \\377 byte: '; echo reason; false")
    assert code == 1
    assert "byte: reason" in said


@pytest.mark.parametrize("share", [0, 0.3, 0.7])
def test_files_that_arrive_in_part_change_nothing(shell, etc, share):
    (etc / "old").write_text("old\n")
    wanted = entries(file(etc / "old", os.urandom(50_000)))
    whole = pack(wanted)
    code, said = shell.apply(wanted, stdin=whole[: int(len(whole) * share)])
    assert code == 1
    assert "run it again" in said
    assert (etc / "old").read_text() == "old\n"
    assert shell.marks() == []


def test_a_folder_in_the_way_is_never_removed(shell, etc):
    (etc / "taken").mkdir()
    (etc / "taken" / "treasure").touch()
    for wanted in (file(etc / "taken"), Link(str(etc / "taken"), target="x"), Absent(str(etc / "taken"))):
        code, said = shell.apply(entries(file(etc / "other"), wanted))
        assert code == 1
        assert f"{etc}/taken is a folder" in said
        assert (etc / "taken" / "treasure").exists()
        assert not (etc / "other").exists()


def test_an_unknown_owner_changes_nothing(shell, etc):
    wanted = entries(file(etc / "one"), File(str(etc / "two"), content="", owner="nobody-knows", group=GROUP))
    code, said = shell.apply(wanted)
    assert code == 1
    assert "nobody-knows" in said
    assert list(etc.iterdir()) == []


def test_two_converges_of_a_host_take_turns(shell, etc, tmp_path):
    wait = f"until test -e '{tmp_path}/go'; do sleep 0.02; done"
    first = shell.start(entries(file(etc / "one", "first\n")), check=wait)
    deadline = time.monotonic() + 20
    while not (shell.run / "stage" / "said").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    second = shell.start(entries(file(etc / "one", "second\n")))
    time.sleep(0.3)
    assert second.poll() is None
    (tmp_path / "go").touch()
    assert first.wait(timeout=20) == 0
    assert second.wait(timeout=20) == 0
    assert (etc / "one").read_text() == "second\n"
    first.communicate()
    second.communicate()


def test_a_mistake_of_a_task_is_named_before_any_host_is_changed(tmp_path):
    bad = [
        (File("relative", content=""), "full path"),
        (File("/etc/../x", content=""), "full path"),
        (File("/etc/x/", content=""), "full path"),
        (File("/etc/new\nline", content=""), "printable"),
        (File("/etc/\udcff", content=""), "printable"),
        (File("/etc/x"), "either a source or a content"),
        (File("/etc/x", content="", source="README.md"), "either a source or a content"),
        (File("/etc/x", source="files/none"), "files/none can't be read"),
        (File("/etc/x", source="templates/none.j2"), "templates/none.j2"),
        (File("/etc/x", content="", mode="u+x"), "octal"),
        (File("/etc/x", content="", mode="888"), "octal"),
        (Directory("/etc/x", mode=""), "octal"),
    ]
    for wanted, said in bad:
        with pytest.raises(OperationValueError, match=said):
            resolve(wanted, {})
    assert checked_path("/etc/fine name") == "/etc/fine name"


def test_lines_that_are_missing_are_no_state():
    with pytest.raises(FactProcessError, match="/b"):
        parse(["/a", "/b"], ["0 1", "81a4 root 0 root 0", "81a4 root 0 root 0", "a" * 64])
    assert parse(["/a"], []) == {}


def test_contents_are_in_no_command_and_no_representation():
    wanted = entries(file("/etc/x", "geheim"))
    command = apply_command(wanted, "", [])
    assert "geheim" not in command.get_raw_value() + repr(command) + repr(wanted)


def test_markers_have_the_full_names_of_units():
    assert markers(["nginx", "a.socket"], ["ssh.service"]) == [
        "restart/nginx.service",
        "restart/a.socket",
        "reload/ssh.service",
    ]
