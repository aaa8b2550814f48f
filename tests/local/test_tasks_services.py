"""service: when a unit is as it should be, and what becomes of markers: a real shell, a small systemctl."""

import os
import subprocess
import textwrap

import pytest
from pyinfra.api.exceptions import FactProcessError

from tasks.lib.services import Unit, apply_command, stays, unit_name
from tasks.lib.services_state import State, parse
from tasks.lib.shell import command_line

# What systemd 257 says of an active ssh.service under its alias, and of a timer (Debian 13).
SAID = """\
restart/ssh.service
reload/other.service
--
Type=notify
RemainAfterExit=no
Result=success
ExecMainExitTimestampMonotonic=0
Names=ssh.service sshd.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no
ConditionResult=yes
ConditionTimestampMonotonic=411

Result=success
Names=apt-daily.timer
LoadState=loaded
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no
ConditionResult=yes
ConditionTimestampMonotonic=277
""".splitlines()


def state(pending=(), **changed):
    properties = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "NeedDaemonReload": "no",
        "Type": "simple",
        "RemainAfterExit": "no",
        "Result": "success",
        "ConditionResult": "yes",
        "ConditionTimestampMonotonic": "100",
        "ExecMainExitTimestampMonotonic": "0",
    }
    return State({**properties, **changed}, frozenset(pending))


def test_a_marker_counts_for_every_name_of_its_unit():
    states = parse(["sshd.service", "apt-daily.timer"], SAID)
    assert states["sshd.service"].pending == {"restart/ssh.service"}
    assert states["apt-daily.timer"].pending == frozenset()
    assert Unit("apt-daily.timer").holds(states["apt-daily.timer"])
    assert not Unit("sshd").holds(states["sshd.service"])


def test_too_few_answers_are_no_state():
    with pytest.raises(FactProcessError, match="2 units when asked for a, b, c"):
        parse(["a", "b", "c"], SAID)
    assert parse(["a"], []) == {}


ONESHOT = {"Type": "oneshot", "ActiveState": "inactive"}


@pytest.mark.parametrize(
    ("unit", "now", "holds"),
    [
        (Unit("a"), state(), True),
        (Unit("a"), None, False),
        (Unit("a"), state(pending=["restart/a.service"]), False),
        (Unit("a"), state(pending=["lost/a.service"]), False),
        (Unit("a"), state(NeedDaemonReload="yes"), False),
        (Unit("a"), state(ActiveState="reloading"), True),
        (Unit("a"), state(ActiveState="activating"), False),
        (Unit("a"), state(ActiveState="failed"), False),
        (Unit("a"), state(ActiveState="inactive"), False),
        (Unit("a", running=None), state(ActiveState="inactive"), True),
        (Unit("a", running=False, enabled=False), state(), False),
        (
            Unit("a", running=False, enabled=False),
            state(ActiveState="inactive", UnitFileState="masked"),
            True,
        ),
        (
            Unit("a", running=False, enabled=False),
            state(ActiveState="failed", UnitFileState="disabled"),
            True,
        ),
        (
            Unit("a", running=False, enabled=False),
            state(ActiveState="inactive", LoadState="not-found"),
            False,
        ),
        (Unit("a"), state(ActiveState="inactive", LoadState="not-found", UnitFileState=""), False),
        # As enabled as they can be: enabling these again and again would be a change in every converge.
        *[
            (Unit("a"), state(UnitFileState=word), True)
            for word in ("static", "alias", "generated", "indirect")
        ],
        *[(Unit("a"), state(UnitFileState=word), False) for word in ("disabled", "masked", "linked", "")],
        (Unit("a", enabled=None), state(UnitFileState="disabled"), True),
        # A oneshot that has done its work, and one that has not, or failed.
        (Unit("a"), state(**ONESHOT, ExecMainExitTimestampMonotonic="5"), True),
        (Unit("a"), state(**ONESHOT), False),
        (Unit("a"), state(**ONESHOT, ExecMainExitTimestampMonotonic="5", Result="exit-code"), False),
        (Unit("a"), state(**ONESHOT, ExecMainExitTimestampMonotonic="5", RemainAfterExit="yes"), False),
        # Skipped by a condition of its own, as chrony in a container; not merely never tried.
        (Unit("a"), state(ActiveState="inactive", ConditionResult="no"), True),
        (
            Unit("a"),
            state(ActiveState="inactive", ConditionResult="no", ConditionTimestampMonotonic="0"),
            False,
        ),
    ],
)
def test_when_a_unit_is_as_it_should_be(unit, now, holds):
    assert unit.holds(now) is holds


def test_names_of_units():
    assert [unit_name(name) for name in ("nginx", "a.b", "x.socket", "y@1.service")] == [
        "nginx.service",
        "a.b.service",
        "x.socket",
        "y@1.service",
    ]


@pytest.fixture
def host(tmp_path):
    """A run directory, and a systemctl that knows one unit, writes down what it is asked, and can fail."""
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(
        textwrap.dedent(f"""\
            #!/bin/sh
            cd '{tmp_path}'
            case $1 in
            show)
                case $* in
                *--value*Names* | *Names*--value*) echo "site.service other-name.service" ;;
                *ActiveState*) cat active ;;
                *NeedDaemonReload*) cat outdated ;;
                *ConditionResult*) echo yes ;;
                *) echo simple ;;
                esac
                ;;
            start | restart | reload-or-restart)
                echo "$1 $3" >>asked
                [ ! -e broken ] || {{ echo failed >active; exit 1; }}
                echo active >active
                ;;
            is-enabled)
                cat unit-file
                grep -q "^enabled" unit-file
                ;;
            *) echo "$*" >>asked ;;
            esac
            """)
    )
    journalctl = tmp_path / "bin" / "journalctl"
    journalctl.write_text("#!/bin/sh\nprintf 'the last words \\377 of it\\n'\n")
    systemctl.chmod(0o755)
    journalctl.chmod(0o755)
    for name, text in (("active", "active"), ("unit-file", "enabled"), ("outdated", "no")):
        (tmp_path / name).write_text(f"{text}\n")
    for marker in ("restart/site.service", "reload/other-name.service", "restart/stranger.service"):
        (tmp_path / "run" / marker).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / marker).touch()
    return tmp_path


def activate(host, *units):
    command = apply_command(units, run=str(host / "run")).get_raw_value()
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        timeout=30,
        env={**os.environ, "PATH": f"{host / 'bin'}:{os.environ['PATH']}"},
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8")


def marks(host):
    return sorted(str(path.relative_to(host / "run")) for path in (host / "run").glob("re*/*"))


def asked(host):
    file = host / "asked"
    return file.read_text().splitlines() if file.exists() else []


def test_a_marker_restarts_and_goes_when_the_unit_is_healthy(host):
    assert activate(host, Unit("site", health="true")) == (0, "")
    assert [line for line in asked(host) if "site" in line and "reset-failed" not in line] == [
        "restart site.service",
    ]
    assert marks(host) == ["restart/stranger.service"]


@pytest.mark.parametrize(
    ("is_now", "enabled", "done"),
    [
        ("enabled", True, []),
        ("static", True, []),
        ("disabled", True, ["enable", "daemon-reload"]),
        ("linked", True, ["enable", "daemon-reload"]),
        ("masked", True, ["unmask", "enable", "daemon-reload"]),
        ("enabled", False, ["disable", "daemon-reload"]),
        ("enabled-runtime", False, ["disable", "daemon-reload"]),
        ("disabled", False, []),
        ("masked", False, []),
        ("disabled", None, []),
    ],
)
def test_it_is_started_at_boot_or_not_and_systemd_hears_of_it_before_the_start(host, is_now, enabled, done):
    (host / "unit-file").write_text(f"{is_now}\n")
    assert activate(host, Unit("site", enabled=enabled), Unit("site", enabled=enabled)) == (0, "")
    words = [line.split()[0] for line in asked(host)]
    # Twice the same unit stands for two units: systemd reads once, after all of them.
    twice = [word for word in done if word != "daemon-reload"] * 2 + done[-1:] * ("daemon-reload" in done)
    assert words == [*twice, "reset-failed", "restart"]


def test_systemd_reads_unit_files_that_changed_since(host):
    (host / "outdated").write_text("yes\n")
    assert activate(host, Unit("site", enabled=None)) == (0, "")
    assert asked(host)[0] == "daemon-reload"
    assert asked(host).count("daemon-reload") == 1


def test_a_marker_of_another_name_reloads(host):
    (host / "run" / "restart" / "site.service").unlink()
    assert activate(host, Unit("site")) == (0, "")
    assert "reload-or-restart site.service" in asked(host)
    assert marks(host) == ["restart/stranger.service"]


@pytest.mark.parametrize("cause", ["broken", "unhealthy"])
def test_a_marker_stays_until_the_unit_is_active_and_healthy(host, cause):
    if cause == "broken":
        (host / "broken").touch()
    code, said = activate(host, Unit("site", health=f"cat '{host}/cured'", health_seconds=1))
    assert code == 1
    assert "the last words  of it" in said
    assert {"broken": "did not restart", "unhealthy": "cured: No such file"}[cause] in said
    assert "restart/site.service" in marks(host)

    # The next converge tries again.
    (host / "broken").unlink(missing_ok=True)
    (host / "cured").touch()
    assert activate(host, Unit("site", health=f"cat '{host}/cured'")) == (0, "")
    assert marks(host) == ["restart/stranger.service"]


def test_a_health_check_that_hangs_is_cut_off(host):
    code, said = activate(host, Unit("site", health="sleep 60", health_seconds=1))
    assert code == 1
    assert "not healthy 1 s after" in said


def test_killed_before_the_health_check_it_is_done_again(host):
    pid = host / "pid"
    command = apply_command(
        [Unit("site", health=f"kill -9 $(cat '{pid}')")], run=str(host / "run")
    ).get_raw_value()
    subprocess.run(
        ["sh", "-c", f"echo $$ >'{pid}'\n{command}"],
        timeout=30,
        capture_output=True,
        env={**os.environ, "PATH": f"{host / 'bin'}:{os.environ['PATH']}"},
    )
    assert "restart/site.service" in marks(host)
    assert activate(host, Unit("site", health="true")) == (0, "")
    assert asked(host).count("restart site.service") == 2
    assert marks(host) == ["restart/stranger.service"]


def test_what_was_undone_is_reloaded(host):
    (host / "run" / "restart" / "site.service").unlink()
    (host / "run" / "reload" / "other-name.service").unlink()
    assert activate(host, Unit("site", intact="true")) == (0, "")
    assert "reload-or-restart site.service" not in asked(host)
    assert activate(host, Unit("site", intact="false")) == (0, "")
    assert "reload-or-restart site.service" in asked(host)


def test_the_fact_lists_what_is_due(host):
    done = subprocess.run(
        [
            "sh",
            "-c",
            command_line("services_state.sh", str(host / "run"), "a.service", "false", "b.service", "true"),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{host / 'bin'}:{os.environ['PATH']}"},
    )
    assert done.stdout.split("--\n")[0].splitlines() == [
        "restart/site.service",
        "restart/stranger.service",
        "reload/other-name.service",
        "lost/a.service",
    ]


@pytest.mark.parametrize(
    ("states", "age", "code"),
    [
        (["inactive"], 0, 0),
        (["active"], 60, 0),
        (["active"], 0, 0),
        (["activating", "active"], 60, 0),
        # Started anew again and again: never active for long.
        (["active", "activating", "active", "activating"], 0, 1),
        (["failed"], 60, 1),
    ],
)
def test_who_ends_a_moment_after_each_start_does_not_stay(tmp_path, states, age, code):
    """`age`: of the unit in seconds when it is first asked; it grows unless it is started anew."""
    (tmp_path / "states").write_text("\n".join(states) + "\n")
    (tmp_path / "systemctl").write_text(f"""#!/bin/sh
case $1 in
is-active)
    head -1 {tmp_path}/states
    [ "$(wc -l <{tmp_path}/states)" = 1 ] || sed -i 1d {tmp_path}/states
    ;;
show)
    read -r up _ </proc/uptime
    began={tmp_path}/began
    [ -e $began ] && [ {len(states)} -lt 3 ] || echo $((${{up%.*}} - {age})) >$began
    echo $(($(cat $began) * 1000000))
    ;;
esac
""")
    (tmp_path / "systemctl").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", stays("a.service")], env=environment, check=False)
    assert done.returncode == code
