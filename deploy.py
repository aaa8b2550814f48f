"""Which role gets which tasks. `pyinfra inventory/aws.py deploy.py` converges the fleet."""

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks import (
    app,
    authority,
    base,
    certificates,
    converge,
    data_volume,
    elastic,
    elasticsearch,
    firewall,
    host_scripts,
    kibana,
    lifecycle,
    log_watch,
    logging,
    logstash,
    nginx,
    postgres,
    private_name,
    process_manager,
    release,
    sshd,
)
from tasks.lib.groups import in_group
from tasks.lib.lock import take_lock
from tasks.lib.looks import gathering
from tasks.lib.packages import packages

# What every host gets before the tasks of its role, and after them. A push does each operation on all hosts
# before the next: another version comes to Elasticsearch, Kibana, Logstash and every Filebeat in this order.
FIRST = [base, sshd, firewall, host_scripts, lifecycle, converge, certificates, elastic]
LAST = [logging]
OWN = {
    "app": [nginx, process_manager, app],
    "db": [data_volume, postgres, private_name],
    "elk": [data_volume, private_name, authority, elasticsearch, kibana, logstash, log_watch],
    "release": [data_volume, release, private_name],
}
ROLES = {role: [*FIRST, *own, *LAST] for role, own in OWN.items()}

role = host.data.get("role")
if role not in ROLES:
    raise DeployError(
        f"{host.name} has {f'the role {role!r}, which is unknown' if role else 'no role'}. "
        f"Put it into a group of the inventory that is named after one of: {', '.join(ROLES)}. "
        "See docs/converge.md."
    )
tasks = ROLES[role]

# The firewall opens what the tasks of this role declare, and keeps users whom they name from its credentials.
# A host that goes stops what they do, the last first (tasks/lifecycle.py). What they log is rotated and
# shipped (tasks/logging.py), by a certificate that their units may need as well (tasks/certificates.py).
host.data.ports = [port for task in tasks for port in getattr(task, "PORTS", [])]
host.data.without_role = [user for task in tasks for user in getattr(task, "WITHOUT_ROLE", [])]
host.data.logs = [log for task in tasks for log in getattr(task, "LOGS", [])]
host.data.certified = [unit for task in tasks for unit in getattr(task, "CERTIFIED", [])]
host.data.drains = [unit for task in reversed(tasks) for unit in getattr(task, "DRAINS", [])]

# The loop goes over the tasks of every role, so that an operation has the same place in the order, and a name
# of its own, whoever it is for.
EVERY_TASK = [*FIRST, *dict.fromkeys(task for own in OWN.values() for task in own), *LAST]


def run(stage):
    """One stage of all tasks that have it."""
    for task in host.loop(EVERY_TASK):
        if task in tasks and hasattr(task, stage):
            getattr(task, stage)()


take_lock()

# All files and units are asked about at once (tasks/lib/looks.py).
with gathering():
    run("prepare")
    run("configure")
    run("activate")

# Stage by stage over all tasks: users exist before files belong to them, files stand before services start.
run("prepare")
# Some a host needs only in the company of others: machines of Vagrant's have no log server.
kinds = ["PACKAGES", *(["FLEET_PACKAGES"] if in_group() else [])]
packages(
    name="Install packages",
    wanted=[package for task in tasks for kind in kinds for package in getattr(task, kind, [])],
)
run("install")
run("configure")
run("activate")
run("serve")
