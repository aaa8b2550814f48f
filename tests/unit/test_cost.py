"""What an environment costs: counted from its template, and as the documentation says."""

import re

import pytest

from corral.errors import CorralError
from corral.settings import ROOT, load
from corral.settings.sections import Network
from corral.stack.cost import monthly


def documented():
    """The table of docs/cost.md: {environment: {what: dollars}}."""
    rows = re.findall(
        r"^\| ([^|]+) \| ([\d.*]+) \| ([\d.*]+) \| ([\d.*]+) \|$", (ROOT / "docs/cost.md").read_text(), re.M
    )
    assert len(rows) == 11
    return {
        name: {row[0].strip("*"): float(row[column].strip("*")) for row in rows}
        for column, name in enumerate(("live", "test", "branch"), 1)
    }


@pytest.mark.parametrize("name", ["live", "test", "branch"])
def test_the_documentation_says_what_is_computed(name):
    totals = [round(line.total, 2) for line in monthly(load(name))]
    said = documented()[name]
    whole = said.pop("in all")
    assert list(said.values()) == totals
    assert whole == round(sum(line.total for line in monthly(load(name))), 2)


def test_it_counts_what_the_template_holds():
    lines = {line.what: line for line in monthly(load("live"))}
    assert lines["app server, m7i.large"].count == 4
    assert lines["NAT gateway"].count == 3
    # Three gateways, and the balancer in three zones.
    assert lines["public IPv4 address"].count == 6
    # Roots: 4 x 30 + 3 x 20; data: 200 + 500 + 50.
    assert lines["disk, GiB of gp3"].count == 930
    # 0.1124 dollars an hour, 730 hours.
    assert lines["app server, m7i.large"].total == pytest.approx(4 * 82.052)


def test_where_the_servers_have_a_way_out_of_their_own_there_is_no_nat_to_pay():
    live = load("live")
    own = Network(cidr=live.network.cidr, nat="none", own_way_out=True)
    none = live.model_copy(update={"network": own})
    assert not [line for line in monthly(none) if line.what.startswith("NAT")]


def test_a_type_without_a_price_is_named_with_the_way_out():
    live = load("live")
    odd = live.model_copy(update={"db": live.db.model_copy(update={"instance_type": "x2gd.large"})})
    with pytest.raises(CorralError) as caught:
        monthly(odd)
    assert caught.value.problem == "There is no price for a x2gd.large (db.instance_type)."
    assert "corral/stack/prices.toml" in caught.value.remedy
