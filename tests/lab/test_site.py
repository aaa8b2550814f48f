"""The site through the load balancer: in a real browser, on both ports, and one request id the whole way."""

import json
import re
import socket
import ssl
from contextlib import closing
from http.client import HTTPConnection
from itertools import count

import pytest
from playwright.sync_api import expect

from tests.lab.fleet import wait_for
from tests.lab.visitors import enter

CA = "/var/cache/corral-lab/ca/ca.pem"


def get(fleet, path, port=None, host=None, headers=()):
    """One request to the load balancer, followed nowhere: status, headers, body. Raises when it hangs up."""
    domain = fleet.settings.domain
    if port == 80:
        connection = HTTPConnection("127.0.0.1", fleet.ports()[80], timeout=10)
    else:
        # By address: browsers know every name under localhost, the system's resolver may not.
        connection = HTTPConnection(domain, timeout=10)
        connection.sock = secure(fleet, ssl.create_default_context(cafile=CA))
    with closing(connection):
        connection.request("GET", path, headers={"Host": host or domain, **dict(headers)})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def secure(fleet, context):
    """A TLS connection to the load balancer, whose certificate has been checked for the site's name."""
    plain = socket.create_connection(("127.0.0.1", fleet.ports()[443]), timeout=10)
    return context.wrap_socket(plain, server_hostname=fleet.settings.domain)


def server_of(page):
    return page.locator("details.connection").get_attribute("data-server")


def test_two_browsers_bound_to_different_servers_chat(fleet, chromium):
    ada, bob = enter(chromium, fleet, "Ada"), enter(chromium, fleet, "Bob")

    tries = count()

    def on_another_server():
        if server_of(bob) != server_of(ada):
            return True
        # Targets take turns, so a page with an even number of requests would meet the same one each time.
        for _ in range(next(tries) % 2):
            get(fleet, "/healthz")
        bob.reload()
        expect(bob.locator("details.connection")).to_have_attribute("data-phase", "open")
        return False

    wait_for("Bob's connection lands on another server than Ada's", on_another_server, seconds=30)
    for writer, reader, text in ((ada, bob, "Hello from one server"), (bob, ada, "Hello from the other")):
        writer.get_by_label("Message", exact=True).fill(text)
        writer.get_by_role("button", name="Send").click()
        expect(reader.get_by_text(text)).to_have_count(1)
        expect(writer.get_by_text(text)).to_have_count(1)
    # What was said is there for who comes later, by REST.
    carol = enter(chromium, fleet, "Carol")
    expect(carol.get_by_text("Hello from one server").first).to_be_visible()


def test_the_page_loads_without_an_error_in_the_console(fleet, chromium):
    page = chromium.new_context(ignore_https_errors=True).new_page()
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(fleet.url())
    expect(page.get_by_role("button", name="Join the chat")).to_be_visible()
    assert errors == []
    # On a phone's width nothing sticks out.
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_port_80_sends_browsers_to_https(fleet):
    status, headers, _ = get(fleet, "/rooms/general?x=1", port=80)
    assert status == 301
    assert headers["Location"] == f"{fleet.url()}rooms/general?x=1"


@pytest.mark.parametrize("port", [80, 443])
def test_an_unknown_host_is_served_nothing(fleet, port):
    # nginx hangs up without a word (444), which a load balancer passes on as 502.
    status, _, body = get(fleet, "/", port=port, host="evil.example")
    assert status == 502
    assert "<div id=" not in body


def test_one_request_id_from_the_browser_to_the_apps_log(fleet):
    _, headers, _ = get(fleet, "/api/rooms")
    ours = headers["X-Request-Id"]
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,128}", ours)
    _, headers, _ = get(fleet, "/api/rooms", headers={"X-Request-Id": "from-the-outside-1"}.items())
    assert headers["X-Request-Id"] == "from-the-outside-1"
    _, headers, _ = get(fleet, "/api/rooms", headers={"X-Request-Id": "no{good"}.items())
    assert headers["X-Request-Id"] != "no{good"

    for request_id in (ours, "from-the-outside-1"):

        def lines(request_id=request_id):
            found = {"nginx": [], "app": []}
            for member in fleet.members("app"):
                for log, path in (
                    ("nginx", "/var/log/nginx/access.json"),
                    ("app", f"/var/log/{fleet.settings.project}-app/*.log"),
                ):
                    out = fleet.shell(member, f"grep -hF '{request_id}' {path}", check=False).stdout
                    found[log] += [json.loads(line) for line in out.splitlines()]
            return found if all(found.values()) else None

        found = wait_for("the id in nginx's and the app's log", lines, seconds=10)
        assert [line["http.request.id"] for line in found["nginx"]] == [request_id]
        assert {line["http.request.id"] for line in found["app"]} == {request_id}


def test_the_clients_own_address_is_in_nginx_s_log(fleet):
    _, headers, _ = get(fleet, "/api/rooms", headers={"X-Forwarded-For": "203.0.113.9"}.items())
    request_id = headers["X-Request-Id"]

    def logged():
        out = "".join(
            fleet.shell(m, f"grep -hF '{request_id}' /var/log/nginx/access.json", check=False).stdout
            for m in fleet.members("app")
        )
        return json.loads(out) if out else None

    line = wait_for("the request in nginx's log", logged, seconds=10)
    # Not what the client claims, nor the load balancer's: the address that the load balancer saw.
    assert line["client.ip"] == "127.0.0.1"


def test_a_missing_asset_is_not_the_page(fleet):
    status, _, body = get(fleet, "/assets/nothing-12345678.js")
    assert status == 404
    assert "<div id=" not in body
    status, headers, body = get(fleet, "/")
    assert status == 200
    assert headers["Cache-Control"] == "no-cache"
    asset = re.search(r'src="(/assets/[^"]+)"', body)[1]
    status, headers, _ = get(fleet, asset)
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")


def test_readyz_names_the_release(fleet):
    status, _, body = get(fleet, "/readyz")
    assert status == 200
    bucket = fleet.settings.releases_bucket
    pointer = fleet.client("s3").get_object(Bucket=bucket, Key="environments/lab/app/current.json")
    assert json.loads(body)["release"] == json.load(pointer["Body"])["version"]


def test_old_tls_is_refused(fleet):
    context = ssl.create_default_context(cafile=CA)
    with secure(fleet, context) as connection:
        assert connection.version() in ("TLSv1.2", "TLSv1.3")
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.raises(ssl.SSLError):
        secure(fleet, context)
