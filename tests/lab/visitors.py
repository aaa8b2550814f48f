"""Who uses the site while something happens to it: people with browsers, and programs that ask on and on."""

import http.client
import ssl
import threading
import time

from playwright.sync_api import expect

# Headless Chromium as root, and without the calls that it makes home.
CHROMIUM = {
    "executable_path": "/usr/bin/chromium",
    "args": [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ],
}


def enter(chromium, fleet, name):
    """A person of that name who has the site open in a browser of their own."""
    page = chromium.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844}).new_page()
    page.goto(fleet.url())
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Join the chat").click()
    expect(page.locator("details.connection")).to_have_attribute("data-phase", "open")
    return page


class Visitors(threading.Thread):
    """Asks the site through the load balancer at most twenty times a second; counts releases and failures.

    As many as it could would take a small machine's time from what is tested.
    """

    def __init__(self, fleet):
        super().__init__(daemon=True)
        self.domain, self.port = fleet.settings.domain, fleet.ports()[443]
        self.done, self.seen, self.failed = threading.Event(), {}, []

    def run(self):
        context = ssl._create_unverified_context()
        while not self.done.is_set():
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=15, context=context)
            try:
                for number in range(20):
                    try:
                        self._ask(connection)
                        time.sleep(0.05)
                    except http.client.RemoteDisconnected:
                        if number == 0:
                            raise
                        # A kept connection may be closed as the next question is on its way: a browser asks
                        # again on another one (RFC 9112, "Retrying Requests").
                        break
            except (OSError, AssertionError, http.client.HTTPException) as error:
                self.failed.append(error)
            finally:
                connection.close()

    def _ask(self, connection):
        connection.request("GET", "/api/rooms", headers={"Host": self.domain})
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
        release = response.headers["X-Release"]
        self.seen[release] = self.seen.get(release, 0) + 1
