"""When a host changes its release, and when it has nothing to do."""

import pytest

from tasks.lib.archives import Archive, Links
from tasks.lib.releases import Release, differs, held, refused

SERVES = """wanted 2.0
sha256 aa
current 2.0
serving 2.0
settings same
answers 2.0
"""


def state(text):
    return Release().process(text.splitlines())


def test_what_serves_as_it_should_is_left_alone():
    assert not differs(state(SERVES))


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("wanted 2.0", "wanted 3.0"),
        ("current 2.0", "current 1.0"),
        ("current 2.0\n", ""),
        ("serving 2.0", "serving 1.0"),
        ("serving 2.0\n", ""),
        ("settings same\n", ""),
        ("answers 2.0", "answers 1.0"),
        ("answers 2.0", "answers null"),
        ("answers 2.0\n", ""),
    ],
)
def test_anything_else_is_a_difference(line, instead):
    assert line in SERVES
    assert differs(state(SERVES.replace(line, instead)))


def test_a_host_that_was_never_converged_is_a_difference():
    assert differs(Release.default())


def test_a_problem_keeps_its_words():
    assert state("problem corral: s3://b/k: HTTP 403. See docs/secrets.md.") == {
        "problem": "corral: s3://b/k: HTTP 403. See docs/secrets.md."
    }


ASKED = "1795615200 2026-11-26T12:00:00+00:00"


@pytest.mark.parametrize(
    ("hold", "asked", "afterwards"),
    [
        ("", "", None),
        ("", ASKED, f"2.0 aa {ASKED}"),
        ("1.0 bb 7 long-ago", ASKED, f"2.0 aa {ASKED}"),
        (f"2.0 aa {ASKED}", "", f"2.0 aa {ASKED}"),
        ("1.0 bb 7 long-ago", "", None),
    ],
    ids=["nothing", "asked", "asked anew", "stays while it is gone by", "goes when it is not"],
)
def test_a_hold_is_what_a_rollout_asks_for_and_stays_while_the_host_goes_by_it(hold, asked, afterwards):
    found = state(SERVES + (f"hold {hold}\n" if hold else ""))
    assert held(found, asked) == afterwards


@pytest.mark.parametrize(
    ("hold", "named", "asked", "version"),
    [
        (f"1.0 bb {ASKED}", None, "", "1.0"),
        (f"1.0 bb {ASKED}", None, ASKED, ""),
        (f"1.0 bb {ASKED}", ASKED.split()[1], "", "1.0"),
        (f"1.0 bb {ASKED}", "later", "", ""),
        (f"2.0 aa {ASKED}", None, "", ""),
        ("", None, "", ""),
    ],
    ids=["goes back", "the next rollout", "goes back by itself", "was complete", "stays", "no rollout"],
)
def test_what_a_rollout_takes_back_is_none_to_go_back_to(hold, named, asked, version):
    lines = (f"hold {hold}\n" if hold else "") + (f"named {named}\n" if named else "")
    assert refused(state(SERVES + lines), asked) == version


def test_an_archive_is_named_by_version_machine_and_content():
    node = Archive("node", "24.21.0", {"x64": "6e85d0fd47b8", "arm64": "16ec7a71b7c3"})
    assert node.file("arm64") == "node-24.21.0-linux-arm64.tar.zst"
    assert node.folder("arm64") == "node-24.21.0-16ec7a71"


def test_links_are_read_by_name():
    fact = Links()
    fact.command("/opt/corral/runtimes", ("node", "pm2"))
    assert fact.process(["aarch64", "node-24.21.0-16ec7a71", ""]) == {
        "architecture": "arm64",
        "links": {"node": "node-24.21.0-16ec7a71", "pm2": ""},
    }
