"""What `corral status` finds: a sentence for everything that is wrong, and nothing else; and its page."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from corral.members import Group, Member, Target
from corral.releases.choice import place
from corral.reports import store
from corral.rollout.lock import Lock
from corral.settings import load
from corral.status import plot, rows, words
from corral.status.judge import judge
from corral.status.look import Logs, Seen, Wanted
from corral.status.look import logs as read_logs
from corral.status.page import page
from tests.shared.simulated import BUNDLE, RELEASE, report

LIVE = load("live")
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SITE = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/chat-live-site/0123456789abcdef"
REDIRECT = SITE.replace("site", "redirect")
APP = Group("chat-live-app", "app", 1, (SITE, REDIRECT))
HEALTHY = (Target("chat-live-site", "healthy"), Target("chat-live-redirect", "healthy"))
ID = "i-0123456789abcdef0"


def member(**other):
    known = {"address": "10.10.16.4", "launched": NOW - timedelta(days=3), "state": "InService"}
    where = {"role": "app", "group": "chat-live-app", "instance_id": ID, "zone": "eu-west-1a"}
    return Member(**where | known | other)


def received(one, minutes=5, **other):
    at = NOW - timedelta(minutes=minutes)
    said = report(LIVE, one, started=(at - timedelta(minutes=60)).isoformat(), **other)
    return store.judge(one.instance_id, "live", at, json.dumps(said).encode())


def seen(one=None, got="healthy", targets=HEALTHY, groups=(APP,), **other):
    """An environment of one app server that is as it should be, but for what is said here."""
    one = one or member()
    got = received(one) if got == "healthy" else got
    known = {
        "release": Wanted(RELEASE, NOW - timedelta(days=1)),
        "bundle": Wanted(BUNDLE, NOW - timedelta(days=1)),
    }
    reports = {one.instance_id: got} if got else {}
    return Seen(NOW, list(groups), [one], {one.instance_id: targets}, reports, **known | other)


def sentences(what):
    """All that is said: problems begin with "!"."""
    verdict = judge(LIVE, what)
    findings = [*verdict.findings, *(each for host in verdict.hosts for each in host.findings)]
    assert verdict.healthy == (not any(each.is_problem for each in findings))
    return [("!" if each.is_problem else "") + each.text for each in findings]


NEW = "20261125-new"
LOCK = Lock("ada@desk", f"rollout of {NEW}", "2026-11-25T11:50:00+00:00", "2026-11-25T12:20:00+00:00", NEW)
DEAD = replace(LOCK, expires="2026-11-25T11:59:00+00:00")
UNDER_WAY = f"ada@desk holds the lock since 2026-11-25T11:50:00+00:00: rollout of {NEW}"


def by_percent(percent):
    """The pointer while a release comes to that many of the servers."""
    return Wanted(NEW, NOW - timedelta(days=1), previous=RELEASE, percent=percent)


def test_of_a_fleet_in_which_all_is_well_nothing_is_said():
    assert sentences(seen()) == []


SAYS_NOTHING = ["!The log server has not said yet whose logs it gets."]


def logs(newest=None, said=0.5, whose=ID):
    """What the log server said `said` minutes ago of a line that is `newest` minutes old."""
    lines = {} if newest is None else {whose: NOW - timedelta(minutes=newest)}
    return Logs(NOW - timedelta(minutes=said), lines)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (seen(logs=logs(1)), []),
        (seen(logs=logs(5)), []),
        (seen(logs=logs(7)), ["!No logs for 7 min."]),
        (seen(logs=logs(1, whose="i-0another")), ["!No logs for a day, or for longer."]),
        (
            seen(member(launched=NOW - timedelta(hours=2)), logs=logs()),
            ["!Its logs have not come yet, 2 h after its launch."],
        ),
        (seen(member(launched=NOW - timedelta(minutes=14)), logs=logs()), []),
        (seen(member(launched=NOW - timedelta(minutes=14)), logs=logs(7)), ["!No logs for 7 min."]),
        # Of a host nothing is said that nobody knows.
        (seen(logs=logs(1, said=8)), ["!The log server last said 8 min ago whose logs it gets."]),
        (seen(member(role="elk"), got=None, logs=None, targets=()), SAYS_NOTHING),
        (
            seen(member(role="elk", launched=NOW - timedelta(minutes=14)), got=None, logs=None, targets=()),
            SAYS_NOTHING[1:],
        ),
    ],
)
def test_a_host_whose_logs_have_stopped_is_said_and_so_is_a_log_server_that_does_not_know(what, said):
    assert [each for each in sentences(what) if "log" in each.lower()] == said


@pytest.mark.parametrize(
    "said", [b"?", b"[]", b"{}", b'{"at": "now", "hosts": {}}', b'{"at": "2026-11-25T12:00:00Z", "hosts": 1}']
)
def test_what_the_log_server_wrote_otherwise_is_nothing(said):
    assert read_logs(said) is None


IN_THE_MAKING = "!0 of 1 app servers are in service; 1 {}."


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (seen(got=None), ["!Has not reported yet, 3 d after its launch."]),
        (seen(got=received(member(), 120)), ["!Was last heard of 2 h ago, though it reports every hour."]),
        (seen(got=received(member(), 60)), []),
        (
            seen(got=store.judge(ID, "live", NOW, b"?")),
            ["!Can't be judged: its report is not JSON."],
        ),
        (
            seen(got=received(member(), role="db")),
            ["!Takes itself for a db server, in the group of app."],
        ),
        (
            seen(
                got=received(
                    member(),
                    result="failed",
                    failed={
                        "operation": "Configure nginx",
                        "output": ["nginx: no", "nginx: test failed", "  "],
                    },
                )
            ),
            ["!Its converge failed 65 min ago at “Configure nginx”: nginx: test failed"],
        ),
        (
            seen(
                got=received(member(), result="failed", failed={"operation": "Configure nginx", "output": []})
            ),
            ["!Its converge failed 65 min ago at “Configure nginx”: it said nothing."],
        ),
        (
            seen(
                got=received(
                    member(), result="ill", ill=[{"check": f"check {n}", "said": "no"} for n in range(4)]
                )
            ),
            ["!Does not do its work since its converge 65 min ago: check 0: no; check 1: no; check 2: no; …"],
        ),
        (
            seen(got=received(member(), units={"nginx.service": "failed", "ssh.service": "active"})),
            ["!Units that do not run: nginx.service (failed)."],
        ),
        (
            seen(got=received(member(), changed=["Run sshd"], drift=["Configure sshd", "Run sshd"])),
            ["Had drifted; its converge 65 min ago repaired: Configure sshd, Run sshd."],
        ),
        (
            seen(got=received(member(), release="20261101-old")),
            [f"!Runs release 20261101-old; {RELEASE} is named since 24 h."],
        ),
        (
            seen(got=received(member(), release=None)),
            [f"!Runs release none; {RELEASE} is named since 24 h."],
        ),
        (seen(release=by_percent(place(NEW, ID))), []),
        (
            seen(release=by_percent(place(NEW, ID) + 1)),
            [f"!Runs release {RELEASE}; {NEW} is named since 24 h."],
        ),
        (seen(rollout=LOCK), [f"{UNDER_WAY}."]),
        (
            seen(got=received(member(), release=NEW), rollout=LOCK),
            [f"{UNDER_WAY}.", f"Runs release {NEW}, to which a rollout by ada@desk brings all."],
        ),
        (
            seen(rollout=DEAD),
            [f"!{UNDER_WAY}. It gave no sign of life since, and should have until {DEAD.expires}."],
        ),
        (
            seen(got=received(member(), bundle="a" * 64)),
            ["!Runs bundle aaaaaaaaaa; bbbbbbbbbb is named since 24 h."],
        ),
        (
            seen(bundle=Wanted("c" * 64, NOW - timedelta(minutes=10))),
            ["Runs bundle bbbbbbbbbb; cccccccccc is named since 10 min."],
        ),
        (
            seen(release=Wanted(fault="none was chosen yet")),
            [
                "!The environment names no release: none was chosen yet."
                " Choose one: corral release point -e live"
            ],
        ),
        (
            seen(targets=()),
            ["!The load balancer (chat-live-site, chat-live-redirect) has it as not registered."],
        ),
        (
            seen(targets=(HEALTHY[0], Target("chat-live-redirect", "unhealthy", "Target.Timeout: slow"))),
            ["!The load balancer (chat-live-redirect) has it as unhealthy: Target.Timeout: slow."],
        ),
        (
            seen(
                targets=tuple(replace(each, state="initial", why="Elb.Registering: soon") for each in HEALTHY)
            ),
            [
                "The load balancer (chat-live-site, chat-live-redirect) has it as initial:"
                " Elb.Registering: soon."
            ],
        ),
        (
            seen(member(healthy=False)),
            [IN_THE_MAKING.format("Unhealthy"), "!Its group finds it unhealthy, and replaces it."],
        ),
        (
            seen(member(state="Pending:Wait", launched=NOW - timedelta(minutes=3)), None, ()),
            [IN_THE_MAKING.format("Pending:Wait"), "Is starting, for 3 min now."],
        ),
        (
            seen(member(state="Pending", launched=None, address=""), None, ()),
            [IN_THE_MAKING.format("Pending"), "Is being launched."],
        ),
        (
            seen(member(state="Pending:Wait", launched=NOW - timedelta(minutes=16)), None, ()),
            [
                IN_THE_MAKING.format("Pending:Wait"),
                "!Has been starting for 16 min, though it has 15 min to get ready.",
            ],
        ),
        (
            seen(
                member(state="Pending:Wait", launched=NOW - timedelta(minutes=3)),
                received(member(), result="ill", ill=[{"check": "nginx", "said": "no"}]),
                (),
            ),
            [
                IN_THE_MAKING.format("Pending:Wait"),
                "Is starting, for 3 min now.",
                "!Does not do its work since its converge 65 min ago: nginx: no",
            ],
        ),
        (
            seen(member(state="Terminating:Wait"), None, ()),
            [
                IN_THE_MAKING.format("Terminating:Wait"),
                "Takes no part: its group has it as Terminating:Wait.",
            ],
        ),
        (
            seen(groups=[replace(APP, suspended=("Launch", "Terminate"))]),
            ["!The group chat-live-app does nothing of Launch, Terminate: somebody suspended that."],
        ),
    ],
)
def test_what_is_wrong_is_said_in_sentences(what, said):
    assert sentences(what) == said


def test_a_host_that_could_not_get_ready_leaves_its_reason_behind():
    gone = member(instance_id="i-00000000000000bad")
    failed = {"operation": "Run nginx", "output": ["no"]}
    boots = [
        received(gone, 4, why="boot", result="failed", failed=failed),
        received(gone, 4, why="boot"),
        received(gone, 4, why="tick", result="failed", failed=failed),
        store.judge(gone.instance_id, "live", NOW, b"?"),
    ]
    said = [sentences(seen(gone={gone.instance_id: one})) for one in boots]
    first = "i-00000000000000bad (app) is gone; it could not get ready 4 min ago: “Run nginx”: no"
    assert said == [[first], [], [], []]


def test_hosts_with_problems_come_first_then_those_with_notes():
    ids = [f"i-{number:017x}" for number in range(3)]
    members = [member(instance_id=each) for each in ids]
    reports = {ids[0]: received(members[0]), ids[1]: received(members[1], drift=["x"])}
    what = replace(seen(), members=members, reports=reports, targets=dict.fromkeys(ids, HEALTHY))
    assert [host.member.instance_id for host in judge(LIVE, what).hosts] == [ids[2], ids[1], ids[0]]


def test_as_plain_data():
    said = rows.plain(LIVE, judge(LIVE, seen(targets=(), logs=logs(1))))
    host = said["hosts"].pop()
    assert said == {
        "environment": "live",
        "at": "2026-11-25T12:00:00+00:00",
        "healthy": False,
        "release": RELEASE,
        "bundle": BUNDLE,
        "problems": [],
        "notes": [],
        "roles": [
            {
                "role": "app",
                "desired": 1,
                "in_service": 1,
                "healthy": 0,
                "members": 1,
                "releases": ((RELEASE, 1),),
                "bundles": (("bbbbbbbbbb", 1),),
            }
        ],
        "hosts": [],
    }
    assert host == {
        "instance": ID,
        "role": "app",
        "group": "chat-live-app",
        "zone": "eu-west-1a",
        "address": "10.10.16.4",
        "state": "InService",
        "launched": "2026-11-22T12:00:00+00:00",
        "healthy": False,
        "problems": ["The load balancer (chat-live-site, chat-live-redirect) has it as not registered."],
        "notes": [],
        "balancer": {},
        "heard": "2026-11-25T11:55:00+00:00",
        "logs": "2026-11-25T11:59:00+00:00",
        "converge": "2026-11-25T10:55:00+00:00",
        "result": "healthy",
        "release": RELEASE,
        "bundle": BUNDLE,
        "drift": [],
        "load": [0.31, 0.28, 0.2],
    }


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_times_in_the_unit_that_matters(seconds, said):
    assert words.span(timedelta(seconds=seconds)) == said


def test_somebody_else_s_words_are_clipped():
    assert words.clip("x" * 300) == "x" * 300
    assert words.clip("x" * 301) == "x" * 299 + "…"


def test_a_plot_has_a_bar_for_each_converge_the_newest_at_the_right():
    past = [{"result": "failed", "seconds": 100.0, "drift": 2}, {"result": "ill", "seconds": 0.0, "drift": 0}]
    common = {"started": NOW.isoformat(), "why": "tick", "changed": 1}
    got = received(member(), seconds=25.0, history=[common | one for one in reversed(past)])
    drawn = plot.plot(got.report, plot.longest([got.report]))
    assert drawn == plot.Plot(
        width=148,
        height=24,
        bars={
            "failed": "M132 24v-19h4v19z",
            "ill": "M138 24v-2h4v2z",
            "healthy": "M144 24v-10h4v10z",
        },
        drift="M132 4l2-4l2 4z",
        words="3 converges: 1 failed, 1 ill, 1 repaired drift; the last took 25 s",
    )


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and what is text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.open = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in {"meta", "path", "br", "link", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


HOSTILE = "</style></script><script>alert(1)</script><img src=x onerror=alert(1)>\"' onload='x"


def test_nothing_that_a_host_reports_is_taken_for_a_part_of_the_page():
    got = received(
        member(),
        result="failed",
        release=HOSTILE,
        bundle=HOSTILE,
        failed={"operation": HOSTILE, "output": [HOSTILE]},
        drift=[HOSTILE],
        units={HOSTILE: HOSTILE},
    )
    what = seen(member(zone=HOSTILE), got, (Target(HOSTILE, HOSTILE, HOSTILE),))
    made, plain = (Page(page(LIVE, judge(LIVE, one))) for one in (what, seen()))
    tags = {tag for tag, _ in made.elements}
    assert tags <= {tag for tag, _ in plain.elements} | {"li", "ul"}
    assert not {"script", "img", "iframe", "object", "link"} & tags
    known = {name for _, attributes in plain.elements for name in attributes}
    assert {name for _, attributes in made.elements for name in attributes} == known
    assert not {name for name in known if name.startswith("on")}
    assert made.text.count(HOSTILE) > 5


def test_the_page_stands_alone_and_says_what_colours_say():
    text = page(LIVE, judge(LIVE, seen(got=received(member(), result="ill", ill=[]))))
    made = Page(text)
    assert not made.open
    asks = [
        value for _, one in made.elements for name, value in one.items() if name in {"src", "href", "action"}
    ]
    assert asks
    assert all(value.startswith("#") for value in asks)
    assert "url(" not in text
    assert "@import" not in text
    policy = next(one["content"] for tag, one in made.elements if one.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    ids = {one["id"] for _, one in made.elements if "id" in one}
    assert {value[1:] for value in asks} <= ids
    pictures = [one for tag, one in made.elements if tag == "svg" and "aria-hidden" not in one]
    assert [one["aria-label"] for one in pictures] == [
        "25 converges: 1 ill, 12 repaired drift; the last took 5.2 s"
    ]
    said = re.sub(r"\s+", " ", made.text)
    for text in (
        "1 problem",
        "10.10.16.4 has a problem",
        "ill 65 min ago",
        "Seen at 2026-11-25 12:00:00 UTC",
    ):
        assert text in said
