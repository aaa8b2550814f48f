"""The load balancer's configuration whole, as HAProxy takes it, and its health in the words of AWS."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from corral.errors import CorralError
from lab import ca
from lab.balancer.config import Server, render
from lab.balancer.frontends import backend
from lab.balancer.health import judge
from lab.balancer.model import Listener
from lab.balancer.places import Places
from lab.balancer.runtime import Row
from tests.local.balancer_shapes import BALANCER, FIXED, GROUP, SECURE

GOLDEN = Path(__file__).parent / "golden" / "haproxy.cfg"


def rendered(directory=Path("/state"), namespaces=True, api=Path("/ca/aws.pem"), site=Path("/ca/site.pem")):
    places = Places(directory, {443: 8443, 80: 8080}, namespaces=namespaces)
    servers = {backend(GROUP): [Server("i-1", "10.42.128.4", 80, "10.42.15.254")]}
    listeners = (replace(SECURE, action=FIXED.action),)
    more = {
        name: replace(BALANCER, name=name, address=address, listeners=listeners, target_groups=())
        for name, address in (("chat-two", "169.254.77.4"), ("chat-shut", "169.254.77.5"))
    }
    # The second has a certificate for the same name; Route 53 says whose it is.
    names = {
        "chat.localhost": "169.254.77.3",
        "two.localhost": "169.254.77.4",
        "*.two.localhost": "169.254.77.4",
        "shut.localhost": "169.254.77.5",
        "no name; at all": "169.254.77.5",
    }
    open_doors = [("chat-lab", 443), ("chat-lab", 80), ("chat-two", 443)]
    balancers = [BALANCER, *more.values()]
    return render(balancers, {("chat.localhost",): site}, api, open_doors, names, servers, places)


def test_the_configuration_is_the_golden_one():
    assert rendered() == GOLDEN.read_text()


def test_haproxy_takes_the_configuration(tmp_path):
    ca.ensure(tmp_path)
    api = ca.certificate(tmp_path, "aws", ["*.amazonaws.com"])
    site = ca.certificate(tmp_path, "site", ["chat.localhost"])
    (tmp_path / "servers.state").write_text("1\n")
    (tmp_path / "haproxy.cfg").write_text(rendered(tmp_path, False, api, site))
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr


# A target that redirects to wherever a request says.
REDIRECTS = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(301)
        self.send_header("Location", self.headers["X-To"])
        self.end_headers()
HTTPServer(("10.42.128.4", 80), Handler).serve_forever()
"""
# The configuration's addresses, in a network that has nothing else.
IN_A_NETWORK = """
ip link set lo up
for address in 169.254.77.2 169.254.77.3 169.254.77.4 169.254.77.5 10.42.15.254 10.42.128.4; do
    ip addr add "$address/32" dev lo
done
python3 -c "$1" & haproxy -q -f haproxy.cfg & shift
until curl -so /dev/null 10.42.128.4 && curl -so /dev/null 169.254.77.3; do sleep 0.02; done
for to in "$@"; do
    for by in 127.0.0.1:8443 169.254.77.3:443; do
        curl -sko /dev/null -w '%header{location}\n' -H "X-To: $to" --connect-to "::$by" https://chat.localhost:8443/
    done
done
curl -so /dev/null -w '%header{location}\n' --connect-to ::127.0.0.1:8080 'http://chat.localhost:8080/a?b=c'
curl -so /dev/null -w '%header{location}\n' --connect-to ::169.254.77.3:80 'http://chat.localhost/a?b=c'
"""


def test_a_redirect_leads_to_the_machines_own_port_and_nothing_else_changes(tmp_path):
    ca.ensure(tmp_path)
    api = ca.certificate(tmp_path, "aws", ["*.amazonaws.com"])
    site = ca.certificate(tmp_path, "site", ["chat.localhost"])
    (tmp_path / "servers.state").write_text("1\n")
    (tmp_path / "haproxy.cfg").write_text(rendered(tmp_path, False, api, site))
    own = "https://chat.localhost:8443"
    leads = {
        "https://chat.localhost/rooms/a,b?c=d&e=https://chat.localhost/": f"{own}/rooms/a,b?c=d&e=https://chat.localhost/",
        "https://chat.localhost": own,
        "http://chat.localhost/": "http://chat.localhost:8080/",
        "https://chat.localhost:9000/": "https://chat.localhost:9000/",
        "https://chat.localhost.example/": "https://chat.localhost.example/",
        "/rooms": "/rooms",
    }
    alone = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
    asked = subprocess.run(
        [*alone, "timeout", "60", "sh", "-c", IN_A_NETWORK, "-", REDIRECTS, *leads],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    answers = asked.stdout.splitlines()
    assert answers[:-2:2] == list(leads.values()), asked.stderr
    assert answers[1:-2:2] == list(leads), "whoever came by the balancer's own address"
    assert answers[-2:] == [f"{own}/a?b=c", "https://chat.localhost/a?b=c"]


@pytest.mark.parametrize(
    ("status", "check", "code", "seconds", "state", "reason", "description"),
    [
        ("UP", "L7OK", "200", 1, "healthy", "", ""),
        ("UP 1/2", "L7STS", "500", 99, "healthy", "", ""),
        ("DOWN", "INI", "", 1, "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
        ("DOWN", "L4CON", "", 1, "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
        ("DOWN", "L4CON", "", 99, "unhealthy", "Target.FailedHealthChecks", "Health checks failed"),
        ("DOWN", "L7TOUT", "", 99, "unhealthy", "Target.Timeout", "Request timed out"),
        (
            "DOWN 1/2",
            "L7STS",
            "503",
            99,
            "unhealthy",
            "Target.ResponseCodeMismatch",
            "Health checks failed with these codes: [503]",
        ),
    ],
)
def test_health_in_the_words_of_elastic_load_balancing(
    status, check, code, seconds, state, reason, description
):
    row = Row("site", "i-1", status, check, code, 0, 1, "10.0.0.1:80")
    assert judge(row, seconds, 20).words() == {"state": state, "reason": reason, "description": description}


def test_what_the_balancer_cannot_do_is_said():
    arns = [{"TargetGroupArn": "a", "Weight": 1}, {"TargetGroupArn": "b", "Weight": 1}]
    listener = Listener(80, "HTTP", "", (), {"Type": "forward", "ForwardConfig": {"TargetGroups": arns}})
    with pytest.raises(CorralError, match="one target group per listener"):
        listener.target_group  # noqa: B018
