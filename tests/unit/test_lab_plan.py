"""What the reconciler decides: the whole table of the API's states and the hosts' conditions."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.plan import Action, Condition, Verb, plan

R, O, E = Condition.RUNNING, Condition.OFF, Condition.ENDED  # noqa: E741
TABLE = {
    # (state in the API, condition of the host): what is done
    ("pending", None): Verb.CREATE,
    ("running", None): Verb.CREATE,
    ("stopping", None): None,
    ("stopped", None): None,
    ("shutting-down", None): None,
    ("terminated", None): None,
    (None, R): Verb.DESTROY,
    (None, O): Verb.DESTROY,
    (None, E): Verb.DESTROY,
    ("pending", R): None,
    ("running", R): None,
    ("pending", O): Verb.BOOT,
    ("running", O): Verb.BOOT,
    ("pending", E): Verb.REPORT,
    ("running", E): Verb.REPORT,
    ("stopping", R): Verb.SHUT_DOWN,
    ("stopped", R): Verb.SHUT_DOWN,
    ("stopping", E): Verb.SHUT_DOWN,
    ("stopped", E): Verb.SHUT_DOWN,
    ("stopping", O): None,
    ("stopped", O): None,
    ("shutting-down", R): Verb.DESTROY,
    ("terminated", R): Verb.DESTROY,
    ("shutting-down", O): Verb.DESTROY,
    ("terminated", O): Verb.DESTROY,
    ("shutting-down", E): Verb.DESTROY,
    ("terminated", E): Verb.DESTROY,
}
STATES = ["pending", "running", "stopping", "stopped", "shutting-down", "terminated"]


def test_the_table_is_whole():
    assert set(TABLE) | {(None, None)} == set(itertools.product([*STATES, None], [*Condition, None]))


@pytest.mark.parametrize(("state", "condition"), TABLE)
def test_each_state_with_each_condition(state, condition):
    wanted = {"i-1": state} if state else {}
    present = {"i-1": condition} if condition else {}
    verb = TABLE[state, condition]
    assert plan(wanted, present) == ([Action(verb, "i-1")] if verb else [])


def test_a_reboot_is_for_a_running_host_only():
    assert plan({"i-1": "running"}, {"i-1": R}, {"i-1"}) == [Action(Verb.REBOOT, "i-1")]
    assert plan({"i-1": "running"}, {}, {"i-1"}) == [Action(Verb.CREATE, "i-1")]
    assert plan({"i-1": "stopped"}, {"i-1": O}, {"i-1"}) == []


AFTER = {
    Verb.CREATE: R,
    Verb.BOOT: R,
    Verb.REBOOT: R,
    Verb.SHUT_DOWN: O,
    Verb.DESTROY: None,
    Verb.REPORT: O,
}


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(STATES)),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(Condition)),
)
def test_once_carried_out_a_plan_leaves_nothing_to_do(wanted, present):
    for action in plan(wanted, present):
        if action.verb is Verb.REPORT:
            wanted[action.instance_id] = "stopped"
        present.pop(action.instance_id, None)
        if AFTER[action.verb]:
            present[action.instance_id] = AFTER[action.verb]
    assert plan(wanted, present) == []
