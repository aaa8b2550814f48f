"""A real HAProxy that follows the lab's API: who serves, who leaves, and what outlives a change."""

import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

from lab.balancer import Proxy
from tests.local.balancer_site import Site, Upstream
from tests.local.lab_cloud import cloud, wait_for  # noqa: F401
from tests.local.ports import free_port


@pytest.fixture(scope="module")
def site(cloud, tmp_path_factory):
    made = Site(cloud, tmp_path_factory.mktemp("balancer"))
    wait_for(lambda: made.reloads == 1)
    yield made
    made.stop()
    assert made.faults == []


@pytest.fixture
def upstreams(site):
    made = [Upstream(address, site.target_port) for address in ("127.0.0.11", "127.0.0.12")]
    yield made
    with contextlib.suppress(site.elbv2.exceptions.InvalidTargetException):
        site.deregister(*site.health())
    wait_for(lambda: site.health() == {})
    for each in made:
        each.stop()


def echoes(sock, text=b"hello"):
    sock.sendall(text)
    return sock.recv(len(text)) == text


def test_a_target_serves_when_its_checks_are_good_and_never_before(site, upstreams):
    wait_for(lambda: site.get()[0] == 503)  # nobody registered
    first, second = upstreams
    second.ready = 503
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    before = site.reloads
    site.register(second.address)
    wait_for(lambda: site.health().get(second.address) == "initial")
    assert site.servers() == {first.address}

    second.ready = 200
    wait_for(lambda: site.health().get(second.address) == "healthy")
    assert site.servers() == {first.address, second.address}

    first.ready = 500
    wait_for(lambda: site.health().get(first.address) == "unhealthy")
    described = site.elbv2.describe_target_health(
        TargetGroupArn=site.group, Targets=[site.target(first.address)]
    )
    assert described["TargetHealthDescriptions"][0]["TargetHealth"] == {
        "State": "unhealthy",
        "Reason": "Target.ResponseCodeMismatch",
        "Description": "Health checks failed with these codes: [500]",
    }
    assert site.servers() == {second.address}

    # As an application load balancer does: with nobody healthy, everybody is asked.
    second.ready = 500
    wait_for(lambda: site.health().get(second.address) == "unhealthy")
    assert site.servers() == {first.address, second.address}
    assert site.reloads == before, "targets came and fell without a reload"


def test_a_leaving_target_finishes_what_it_has_and_gets_nothing_new(site, upstreams):
    first, second = upstreams
    site.set_drain(4)
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    socket_of_first = site.websocket()
    site.register(second.address)
    wait_for(lambda: site.health().get(second.address) == "healthy")
    slow = {}
    thread = threading.Thread(target=lambda: slow.update(answer=site.get("/slow?1.5")))
    thread.start()

    site.deregister(first.address)
    wait_for(lambda: site.health().get(first.address) == "draining")
    assert echoes(socket_of_first), "a websocket outlives the deregistration"
    wait_for(lambda: site.servers() == {second.address})
    thread.join()
    assert slow["answer"][0] == 200

    wait_for(lambda: first.address not in site.health())
    assert socket_of_first.recv(10) == b"", "after the delay it is closed"


def test_nothing_open_means_no_delay(site, upstreams):
    site.set_drain(300)
    wait_for(lambda: site.proxy.balancers[0].target_groups[0].drain == 300)
    first, _ = upstreams
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    assert site.servers() == {first.address}
    site.deregister(first.address)
    wait_for(lambda: site.health() == {})
    assert site.get()[0] == 503
    site.set_drain(4)


def test_a_change_of_the_listeners_keeps_health_and_open_connections(site, upstreams):
    first, second = upstreams
    second.ready = 503
    site.register(first.address, second.address)
    wait_for(lambda: site.health() == {first.address: "healthy", second.address: "unhealthy"})
    held, before, more = site.websocket(), site.reloads, free_port()
    listener = site.elbv2.create_listener(
        LoadBalancerArn=site.balancer["LoadBalancerArn"],
        Port=more,
        Protocol="HTTP",
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "No."}}
        ],
    )["Listeners"][0]["ListenerArn"]
    wait_for(lambda: site.reloads == before + 1)

    def answers():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", more), timeout=2) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"404" in sock.recv(100)

    wait_for(answers)
    assert site.servers() == {first.address}, "the one that was not healthy still is not"
    assert echoes(held)
    site.elbv2.delete_listener(ListenerArn=listener)
    wait_for(lambda: site.reloads == before + 2)
    assert echoes(held)
    held.close()


def test_each_balancers_targets_have_their_own_health(site, upstreams):
    first, second = upstreams
    site.register(first.address)
    more, port = site.elbv2.create_load_balancer(Name="more", Subnets=site.subnets), free_port()
    arn = more["LoadBalancers"][0]["LoadBalancerArn"]
    group = site.elbv2.create_target_group(
        Name="more", Protocol="HTTP", Port=site.target_port, VpcId=site.vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    site.elbv2.register_targets(TargetGroupArn=group, Targets=[site.target(second.address)])
    wait_for(lambda: site.health() == {first.address: "healthy"})
    wait_for(lambda: site.health(group) == {second.address: "unused"})

    forward = [{"Type": "forward", "TargetGroupArn": group}]
    site.elbv2.create_listener(LoadBalancerArn=arn, Port=port, Protocol="HTTP", DefaultActions=forward)
    wait_for(lambda: site.health(group) == {second.address: "healthy"})
    assert site.health() == {first.address: "healthy"}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        assert json.load(answer)["server"] == second.address

    site.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    site.elbv2.delete_target_group(TargetGroupArn=group)
    wait_for(lambda: _refused(port))
    assert site.servers() == {first.address}


def test_headers_and_tls_are_an_application_load_balancers(site, upstreams):
    first, _ = upstreams
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    assert first.checked_as == {f"{first.address}:{site.target_port}"}
    _, answer = site.get(headers={"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "spoofed"})
    headers = {key.lower(): value for key, value in answer["headers"].items()}
    assert headers["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == str(site.port)
    root, epoch, unique = headers["x-amzn-trace-id"].split("-")
    assert (root, len(unique)) == ("Root=1", 24)
    assert abs(int(epoch, 16) - time.time()) < 60

    context = ssl.create_default_context(cafile=str(site.directory / "ca" / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", site.secure_port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="site.localhost") as secure,
    ):
        assert secure.version() in {"TLSv1.3", "TLSv1.2"}
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", site.secure_port), timeout=5) as raw,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        old.wrap_socket(raw)


def test_a_killed_haproxy_comes_back_with_its_targets(site, upstreams):
    first, _ = upstreams
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    site.process.kill()
    site.process.wait()
    # The master is gone; its worker notices by itself.
    wait_for(lambda: _refused(site.port))
    # As the lab starts it again: another process prepares it than the one that follows the API.
    Proxy(places=site.proxy.places, authority=site.directory / "ca").prepare()
    site.process = subprocess.Popen(site.proxy.command(), stdout=site.log, stderr=site.log)
    wait_for(lambda: site.get()[0] == 200)
    assert site.servers() == {first.address}


def _refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_amazons_names_lead_to_the_api_for_roles_only(site):
    context = ssl.create_default_context(cafile=str(site.directory / "ca" / "ca.pem"))
    with (
        socket.create_connection(site.api, timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="ssm.eu-west-1.amazonaws.com") as secure,
    ):
        secure.sendall(
            b"POST / HTTP/1.1\r\nHost: ssm.eu-west-1.amazonaws.com\r\n"
            b"X-Amz-Target: AmazonSSM.GetParameter\r\nAuthorization: AWS4-HMAC-SHA256 "
            b"Credential=lab/20260101/eu-west-1/ssm/aws4_request, Signature=0\r\n"
            b"Content-Type: application/x-amz-json-1.1\r\nContent-Length: 12\r\n\r\n"
            b'{"Name":"x"}'
        )
        answer = b""
        while b"}" not in answer and (part := secure.recv(4000)):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"InvalidClientTokenId" in answer
