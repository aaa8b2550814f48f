"""nginx: the front door of an app server. Port 80 serves the site, port 81 sends browsers to https."""

from pyinfra import host

from tasks.lib.files import Absent, File, config_files
from tasks.lib.logs import Log
from tasks.lib.ports import Port
from tasks.lib.services import Unit, service

PACKAGES = ["nginx"]
REOPEN = '[ ! -s /run/nginx.pid ] || kill -USR1 "$(cat /run/nginx.pid)"'
# The load balancer speaks to both: 443 of its own goes to 80, 80 to 81.
PORTS = [Port(80, sources=("balancer_cidrs",)), Port(81, sources=("balancer_cidrs",))]
DRAINS = ["nginx.service"]
LOGS = [
    Log("nginx.access", "/var/log/nginx/access.json", owner="www-data", reopen=REOPEN),
    Log("nginx.error", "/var/log/nginx/error.log", owner="www-data", reopen=REOPEN, text=True),
]
REDIRECT = "http://127.0.0.1:81/corral/health"
# What the load balancer asks of a server (corral/stack/balancer.py).
ASKED = ("http://127.0.0.1:80/healthz", REDIRECT)


def configure() -> None:
    """All of nginx's configuration is ours, so that nothing of the package's serves anything."""
    config_files(
        name="Configure nginx",
        files=[
            File("/etc/nginx/nginx.conf", source="templates/nginx/nginx.conf.j2"),
            File("/etc/nginx/snippets/headers.conf", source="templates/nginx/headers.conf"),
            File("/etc/nginx/snippets/proxy.conf", source="templates/nginx/proxy.conf"),
            File(f"/etc/nginx/sites-enabled/{host.data.project}.conf", source="templates/nginx/site.conf.j2"),
            Absent("/etc/nginx/sites-enabled/default"),
        ],
        check="nginx -t -q",
        reloads=["nginx.service"],
    )


def activate() -> None:
    """The redirect's port answers without the application, so it tells of nginx alone."""
    service(name="Run nginx", units=[Unit("nginx.service", health=f"curl -fsS {REDIRECT}")])
