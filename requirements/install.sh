#!/bin/sh
# Installs what this directory lists, and skips what is there already: install.sh [lab] [test]
# (Python packages from the hash-pinned locks into .venv always; Debian packages for the named parts.)
set -eu
cd "$(dirname "$0")/.."

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
stop() { printf 'corral: %s\n' "$*" >&2; exit 1; }

# Before anything is touched: is this a machine we can work on?
[ "$(uname -s)" = Linux ] || stop "the lab needs Linux (network namespaces, systemd-nspawn); this is $(uname -s). Use a Linux machine or a Linux virtual machine; see docs/lab.md."
case "$* ${CORRAL_TARGET:-}" in
*lab*test-unit | *lab*test-local) ;; # need the packages, and nobody's rights
*lab*) [ "$(id -u)" -eq 0 ] || stop "the lab needs root (it makes network namespaces and boots hosts). Run: sudo make ${CORRAL_TARGET:-up}" ;;
esac
[ $# -eq 0 ] || command -v apt-get >/dev/null || stop "the lab installs Debian packages and this system has no apt-get. Use Debian 12 or later; see docs/lab.md."

# The lab's package cache needs port 80 of an address of its own; field 2 of /proc/net/tcp is the local address, 4 the state.
if [ $# -gt 0 ] && [ ! -e /var/lib/corral-lab ] && cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk '$2 ~ /^0+:0050$/ && $4 == "0A" { found = 1 } END { exit !found }'; then
    stop "a process of this machine listens on port 80 of every address, and the lab needs that port on an address of its own. Find it with: ss -ltnp 'sport = :80'; stop it, or let it listen on its own address."
fi

packages=
for part in "$@"; do
    packages="$packages $(sed 's/#.*//' "requirements/debian-$part.txt")"
done
# A bare machine may lack Python's venv module too, or Python itself.
python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"

missing=
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || echo absent)
    [ "$state" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    [ "$(id -u)" -eq 0 ] || stop "these Debian packages are missing:$missing. Run: sudo apt-get install$missing"
    say "Installing Debian packages:$missing"
    # Some of these packages start a service when they are installed; the lab starts its own instances.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get -q=2 update
    # shellcheck disable=SC2086 # a list of words, on purpose
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 \
        install --no-install-recommends $missing
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "corral needs Python 3.11 or later; python3 here is $(python3 --version). Use Debian 12 or later."

# The stamp holds what was installed, so that an unchanged lock costs nothing.
stamp=.venv/corral-requirements
wanted=$(cat requirements/run.txt requirements/dev.txt pyproject.toml requirements/install.sh | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    say "Installing Python packages into .venv (hash-checked; about half a minute)"
    # An environment that was interrupted while it was made has a Python and no pip.
    .venv/bin/python -m pip --version >/dev/null 2>&1 || python3 -m venv --clear .venv
    .venv/bin/python -m pip install --progress-bar off --disable-pip-version-check --require-hashes \
        -r requirements/run.txt -r requirements/dev.txt
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps --no-index -e .
    echo "$wanted" >"$stamp"
fi
