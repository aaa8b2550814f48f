# shellcheck shell=sh
# Holds this host at a release for a rollout, or lets it go: $1 the hold, as release_state.sh reads it, or nothing.
set -eu
hold=/var/lib/corral/release-hold
if [ -z "$1" ]; then
    rm -f $hold
    exit
fi
mkdir -p "${hold%/*}"
printf '%s\n' "$1" >$hold.new
mv $hold.new $hold
