# shellcheck shell=sh
# Installs the given packages in one transaction. Waits for whoever else holds apt's locks (at boot that is apt-daily).
set -eu
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND

# Translations of descriptions are half of what would be fetched (files/base/apt.conf leaves them out from then on).
# The lock of the lists knows no waiting, unlike dpkg's (apt.conf(5), DPkg::Lock::Timeout), and a mirror may stumble.
tries=0
until apt-get --quiet --quiet --option APT::Update::Error-Mode=any --option Acquire::Retries=3 \
    --option Acquire::Languages=none update; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || {
        echo "corral: the lists of packages can't be fetched; see above. Does the host reach its Debian mirror?" >&2
        exit 1
    }
    sleep 3
done
apt-get --quiet --yes --no-install-recommends --option DPkg::Lock::Timeout=300 --option Dpkg::Use-Pty=0 \
    --option Dpkg::Options::=--force-confdef --option Dpkg::Options::=--force-confold install -- "$@"
