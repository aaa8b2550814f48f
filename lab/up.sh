#!/bin/sh
# `make up`: the whole fleet on this machine, by the commands that an operator would type, each shown as it runs.
set -eu
cd "$(dirname "$0")/.."
export CORRAL_ENV=lab PYINFRA_NO_COLOR="${NO_COLOR:-}"
started=$(date +%s)

step() { printf '\n\033[1m[%3ss] %s\033[0m\n        $ %s\n' "$(($(date +%s) - started))" "$1" "$2"; }

# finish PID FILE: waits for a command that was begun beside others, and shows what it said.
finish() {
    wait "$1" || failed=$?
    cat "$2"
    [ -z "${failed:-}" ] || exit 1
}
bundles=.corral/up-bundle.log runtimes=.corral/up-runtimes.log
mkdir -p .corral
# What goes on in the background ends with this, however it ends.
trap 'kill ${bundle:-} ${runtime:-} 2>/dev/null || :' EXIT

step "The lab: an AWS API, a load balancer and a network, all on this machine" "corral lab up"
# Meanwhile these can be built, which takes as long.
corral bundle build --dirty >$bundles 2>&1 &
bundle=$!
corral release runtimes build >$runtimes 2>&1 &
runtime=$!
corral lab up

step "The application, built into a release" "corral release build"
release=$(corral release build)
version=$(basename "$release")

step "The stack: what to run, from environments/lab.toml; no servers yet" "corral stack apply -y"
corral stack apply -y

step "The release, Node and PM2, and the bundle that hosts configure themselves with, into S3" \
    "corral release publish $release; corral release runtimes publish; corral bundle publish .corral/bundles/… --point"
finish $bundle $bundles
finish $runtime $runtimes
archive=$(tail -n 1 $bundles)
corral bundle publish "$archive" --point >$bundles 2>&1 &
bundle=$!
corral release runtimes publish >$runtimes 2>&1 &
runtime=$!
corral release publish "$release"
corral release point "$version"
finish $runtime $runtimes
finish $bundle $bundles
bundle='' runtime=''

step "The stack again: with a bundle come the servers" "corral stack apply -y"
corral stack apply -y

step "The hosts, booting and configuring themselves" "corral lab wait"
corral lab wait

step "The same converge over SSH, which finds nothing left to do" "pyinfra inventory/aws.py deploy.py -y"
pyinfra -y inventory/aws.py deploy.py

step "The site, through the load balancer" "corral lab wait --healthy"
corral lab wait --healthy
corral lab status
printf '\nUp in %s s. What to try next:\n' "$(($(date +%s) - started))"
cat <<'NEXT'

  . .venv/bin/activate; export CORRAL_ENV=lab
  pyinfra inventory/aws.py deploy.py              changes nothing: the fleet is as declared
  corral status                                   whether all is well, and what needs somebody
  corral lab shell app1                           a root shell on a host: damage a file there
  pyinfra inventory/aws.py deploy.py --dry        shows the damage; without --dry, repairs it
  corral lab logs                                 what the lab does
  make down                                       stops everything
NEXT
