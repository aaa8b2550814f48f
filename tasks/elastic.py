"""elastic: where Filebeat, Logstash, Elasticsearch and Kibana come from, and in which one version."""

from pyinfra import host

from tasks.lib.files import File, config_files
from tasks.lib.groups import in_group
from tasks.lib.packages import upgrade
from tasks.lib.services import Unit, service

KEY = "/etc/apt/keyrings/elastic.asc"


def prepare() -> None:
    """Before any of the packages is installed. A key that the machine's image has is trusted where it is.

    Machines outside of AWS get none of them: nobody takes their logs.
    """
    if not in_group():
        return
    key = host.data.elastic["signing_key"]
    ours = [] if key.startswith("/") else [File(KEY, source=key)]
    config_files(
        name="Trust Elastic's packages, in one version",
        files=[
            *ours,
            File(
                "/etc/apt/sources.list.d/elastic.sources",
                source="templates/elastic/elastic.sources.j2",
                data={"key": KEY if ours else key},
            ),
            File("/etc/apt/preferences.d/elastic", source="templates/elastic/preferences.j2"),
        ],
        check="apt-cache policy >/dev/null",
    )


def bring_to_version(package: str, unit: str, health: str, seconds: int) -> None:
    """Replace an installed package of another version than ours, and restart its unit before the next one's.

    `health`: a command that succeeds when the unit serves, within `seconds`. A host that has none yet gets
    the right one with all other packages, and starts it when it is configured.
    """
    upgrade(
        name=f"Bring {package} to its version",
        package=package,
        version=host.data.elastic["version"],
        restarts=[unit],
    )
    service(
        name=f"Restart {package} in its version",
        units=[Unit(unit, running=None, enabled=None, health=health, health_seconds=seconds)],
    )
