"""What the lab tests do with releases, as somebody who brings one to the fleet."""

import json

from tests.lab.fleet import run
from tests.shared.crowd import crowd as shared_crowd

ASK = "curl -fsS http://127.0.0.1:3000/readyz"


def release(*words, check=True):
    """`corral release …` for the environment lab."""
    return run("corral", "release", *words, CORRAL_ENV="lab", check=check)


def runs(fleet):
    """What each app server answers with, in the order of a rollout."""
    return [json.loads(fleet.shell(one, ASK).stdout)["release"] for one in fleet.members("app")]


def ready(fleet):
    """Whether all app servers say that they are."""
    return all(fleet.shell(one, ASK, check=False).returncode == 0 for one in fleet.members("app"))


def crowd(fleet):
    """Visitors and chatters, as many as a small machine bears beside its fleet."""
    return shared_crowd(fleet.url(), rate=20, chatters=3)
