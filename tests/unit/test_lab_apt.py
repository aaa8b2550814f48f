"""Where the lab gets Debian's packages: the machine's own sources, in both formats of apt."""

from lab.apt import Mirror, cache_configuration, host_sources, logs_line, mirror

DEB822 = """
Types: deb
# a comment amid
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://security.test/debian-security/
Suites: bookworm-security
Components: main contrib
"""


def test_deb822():
    found = mirror([("debian.sources", DEB822)], "bookworm")
    assert found == Mirror("http://mirror.test/debian", "https://security.test/debian-security")


def test_one_line_with_options_and_comments():
    text = """
    # deb http://commented.test/debian bookworm main
    deb-src http://source.test/debian bookworm main
    deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian/ bookworm main contrib # trailing
    deb http://mirror.test/security bookworm-security main
    """
    assert mirror([("sources.list", text)], "bookworm") == Mirror(
        "http://mirror.test/debian", "http://mirror.test/security"
    )


def test_folded_fields_disabled_and_foreign_entries_are_understood():
    text = """
Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://vendor.test/apt
Suites: stable
Components: main

Types: deb deb-src
URIs:
 http://mirror.test/debian
Suites:
 bookworm
 bookworm-updates
Components: main
"""
    assert mirror([("a.sources", text)], "bookworm") == Mirror("http://mirror.test/debian", None)


def test_no_debian_among_the_sources():
    assert mirror([("sources.list", "deb http://u.test/ubuntu noble main")], "noble-not") is None
    assert mirror([("sources.list", "deb cdrom:[Debian]/ bookworm main")], "bookworm") is None
    assert mirror([("sources.list", "deb file:/srv/debian bookworm main")], "bookworm") is None
    assert mirror([], "bookworm") is None


def test_what_the_hosts_get():
    assert (
        host_sources(Mirror("https://mirror.test/debian", "http://mirror.test/debian-security"))
        == """\
Types: deb
URIs: http://mirror.test/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
    )


def test_the_cache_serves_the_mirror_and_nothing_else():
    assert (
        cache_configuration(
            Mirror("https://mirror.test/debian", "http://s.test/d"),
            "http://proxy.test:3128",
            logs_line("logs.test", "/srv/packages"),
        )
        == """\
CacheDir: /var/cache/corral-lab/apt/packages
LogDir: /var/cache/corral-lab/apt/log
SocketPath: /var/cache/corral-lab/apt/socket
SupportDir: /usr/lib/apt-cacher-ng
BindAddress: 169.254.77.1
Port: 80
ForeGround: 1
ReportPage: acng-report.html
ExThreshold: 30
ForceManaged: 1
PassThroughPattern: ^$
Remap-corral0: http://mirror.test/debian ; https://mirror.test/debian
Remap-corral1: http://s.test/d ; http://s.test/d
LocalDirs: logs.test /srv/packages
Proxy: http://proxy.test:3128
"""
    )


def test_elastics_packages_are_passed_on_where_they_can_be_reached():
    assert logs_line("logs.test", "") == "Remap-elastic: http://logs.test ; https://logs.test"
