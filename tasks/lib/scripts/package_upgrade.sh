# shellcheck shell=sh
# Replaces the installed package $2 by what apt's preferences choose now, which must be of the version $3.
# $1 the run directory; $4… markers of units that need a restart then ("restart/kibana.service").
set -eu
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
run=$1 package=$2 version=$3
shift 3

apt-get --quiet --quiet --option APT::Update::Error-Mode=any --option Acquire::Retries=3 update
chosen=$(apt-cache policy "$package" | sed -n 's/^ *Candidate: *//p')
case $chosen in
"$version" | *:"$version" | "$version"-* | *:"$version"-*) ;;
*)
    echo "corral: $package $version is not to be had: apt would install $chosen. Does logs.repository hold it? See docs/log-server.md." >&2
    exit 1
    ;;
esac
# Before the files: a run that ends here costs a restart too many, never one too few.
for marker; do
    mkdir -p "$run/${marker%/*}"
    : >"$run/$marker"
done
apt-get --quiet --yes --no-install-recommends --option DPkg::Lock::Timeout=300 --option Dpkg::Use-Pty=0 \
    --option Dpkg::Options::=--force-confdef --option Dpkg::Options::=--force-confold install -- "$package"
