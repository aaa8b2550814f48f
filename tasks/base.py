"""base: what every host has: time, locale, security upgrades, a bounded journal, corral's folders."""

from pyinfra import host

from tasks.lib.files import Directory, File, Link, config_files
from tasks.lib.locales import locale
from tasks.lib.services import Unit, service

PACKAGES = ["ca-certificates", "chrony", "curl", "locales", "tzdata", "unattended-upgrades"]

# These are part of the C library; every other locale is generated.
BUILT_IN_LOCALES = {"C", "C.UTF-8", "POSIX"}


def install():
    """Generate the environment's locale, if it isn't there from the start."""
    if host.data.locale not in BUILT_IN_LOCALES:
        locale(name=f"Generate the locale {host.data.locale}", wanted=host.data.locale)


def configure():
    """Put the settings of the system in place."""
    config_files(
        name="Set time zone and locale, and make corral's folders",
        files=[
            Link("/etc/localtime", target=f"/usr/share/zoneinfo/{host.data.timezone}"),
            File("/etc/locale.conf", content=f"LANG={host.data.locale}\n"),
            Directory("/etc/corral"),
            Directory("/usr/local/lib/corral"),
            File("/etc/tmpfiles.d/corral.conf", source="files/base/tmpfiles.conf"),
        ],
        check=f"test -f /usr/share/zoneinfo/{host.data.timezone}",
    )
    config_files(
        name="Configure apt and its security upgrades",
        files=[
            File("/etc/apt/apt.conf.d/20auto-upgrades", source="files/base/auto-upgrades"),
            File("/etc/apt/apt.conf.d/80corral", source="files/base/apt.conf"),
        ],
        check="apt-config dump >/dev/null",
    )
    config_files(
        name="Ask Amazon for the time",
        files=[File("/etc/chrony/sources.d/amazon.sources", source="files/base/amazon.sources")],
        restarts=["chrony.service"],
    )
    config_files(
        name="Bound the journal",
        files=[File("/etc/systemd/journald.conf.d/corral.conf", source="templates/base/journald.conf.j2")],
        restarts=["systemd-journald.service"],
    )


def activate():
    """Keep the time, the journal and the upgrades going.

    chrony skips itself where the kernel's clock isn't the host's to set (a container): a condition of its
    unit.
    """
    service(
        name="Run time synchronisation, journal and security upgrades",
        units=[
            Unit("systemd-journald.service"),
            Unit("chrony.service"),
            Unit("apt-daily.timer"),
            Unit("apt-daily-upgrade.timer"),
        ],
    )
