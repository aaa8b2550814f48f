"""How much of a log server's memory each of its programs takes, by how much there is."""

import re

import pytest

from tasks.lib.memory import Memory
from tests.shared.roles import Declared

UNITS = "/etc/systemd/system"


@pytest.fixture
def machine(monkeypatch):
    """A log server with so many GiB of memory, as its /proc/meminfo would say it."""

    def of(gib, **data):
        # What a host says that no one can reach.
        monkeypatch.setattr(Memory, "default", staticmethod(lambda: Memory().process([str(gib * 2**20)])))
        return Declared("elk", **data)

    return of


def heap(declared):
    """MiB of Elasticsearch's heap, from the whole of its options; it is never to grow."""
    lines = declared.text("/etc/elasticsearch/jvm.options.d/heap.options").splitlines()
    least, most = (line for line in lines if not line.startswith("#"))
    assert (least[:4], most[:4], least[4:]) == ("-Xms", "-Xmx", most[4:])
    assert least.endswith("m")
    return int(least[4:-1])


# A quarter, an eighth, an eighth; at 1 GiB none starts with so little, at 256 GiB none has use for so much.
@pytest.mark.parametrize(
    ("gib", "elasticsearch", "logstash", "kibana"),
    [(1, 512, 256, 512), (8, 2048, 1024, 1024), (16, 4096, 2048, 2048), (256, 30720, 2048, 2048)],
)
def test_each_takes_its_part_within_its_bounds(machine, gib, elasticsearch, logstash, kibana):
    found = machine(gib, heap_mib=None)
    assert heap(found) == elasticsearch
    options = re.findall(r'LS_JAVA_OPTS=([^"]*)"', found.text(f"{UNITS}/logstash.service.d/corral.conf"))
    assert options == [f"-Xms{logstash}m -Xmx{logstash}m"]
    options = re.findall(r"NODE_OPTIONS=(.*)", found.text(f"{UNITS}/kibana.service.d/corral.conf"))
    assert options == [f"--max-old-space-size={kibana}"]


@pytest.mark.parametrize("gib", [1, 8, 256])
def test_a_heap_that_the_environment_names_is_taken_whatever_there_is(machine, gib):
    assert heap(machine(gib, heap_mib=700)) == 700


def test_what_the_kernel_keeps_for_itself_changes_no_heap():
    """It varies from boot to boot by a few MiB, and no converge is to restart Elasticsearch for them."""
    assert {Memory().process([str(8131068 + more)]) for more in (-6000, 0, 9000)} == {7936}
