# shellcheck shell=sh
# Which release should this host serve, and which does it serve? Prints "word value" lines:
#   wanted VERSION, sha256 SUM      what to serve, and the checksum of its archive
#   hold TEXT                       what a rollout holds this host at, if the file is there: VERSION SHA256 UNTIL NAMED
#   named TIME                      when the environment's pointer was moved: from then on a host's report is news
#   problem TEXT                    why that can't be known
#   current VERSION                 what the link says
#   serving VERSION                 what app-processes brought into service last, to the end
#   settings same                   with the settings that stand in /etc/corral/app.env now
#   answers VERSION                 what the port says
#
# $1 the bucket, $2 the environment, $3 a version (or "": the environment's pointer), $4 its sha256 (or "": ask S3).
bucket=$1 environment=$2 version=$3 sha256=$4
aws=/usr/local/lib/corral/aws
hold=/var/lib/corral/release-hold
[ -x "$aws" ] || exit 0 # never converged: nothing is known, nothing serves

problem() {
    echo "problem $(printf %s "$*" | tr '\n' ' ')"
    exit 0
}

# The environment's pointer; a host's own tick has asked for it already (files/node/tick).
pointer() {
    if [ -n "${CORRAL_RELEASE_POINTER:-}" ]; then
        cat "$CORRAL_RELEASE_POINTER"
    else
        "$aws" s3-get "$bucket" "environments/$environment/app/current.json" -
    fi
}

# Whether this host is among the first PERCENT of all to get the version. Each version has another order, so that not the
# same hosts are first every time (corral/releases/choice.py says the same).
chosen() {
    # shellcheck source=/dev/null
    instance=$(. /etc/corral/node.env && echo "$CORRAL_INSTANCE") || return 0
    sum=$(printf '%s %s' "$1" "$instance" | sha256sum)
    sum=0x${sum%"${sum#????????}"}
    [ $((sum % 100)) -lt "$2" ]
}

# A rollout that is under way holds hosts at its version until it moves the pointer, or another one does.
held() {
    read -r held_version held_sha256 until named <$hold || return
    [ "$named" = "$at" ] && [ "$(date +%s)" -lt "$until" ]
}

if [ -z "$version" ]; then
    pointer=$(pointer 2>&1) ||
        problem "$pointer If no release was chosen yet: corral release point VERSION -e $environment"
    facts=$(printf %s "$pointer" | jq -re '.previous // "", .percent // 100, .at // "",
        (.version, .sha256 | strings // error("none"))') || facts=
    [ -n "$facts" ] ||
        problem "corral: environments/$environment/app/current.json is not a pointer; write it anew: corral release point"
    {
        read -r previous && read -r percent && read -r at && read -r version && read -r sha256
    } <<EOF
$facts
EOF
    if [ -f $hold ] && held; then
        version=$held_version sha256=$held_sha256
    elif [ "$percent" -lt 100 ] && [ -n "$previous" ] && ! chosen "$version" "$percent"; then
        version=$previous sha256=
    fi
fi
if [ -z "$sha256" ]; then
    sha256=$("$aws" s3-get "$bucket" "releases/app/$version/app.tar.zst.sha256" - 2>&1) || problem "$sha256"
    sha256=${sha256%% *}
fi
current=$(readlink /srv/app/current) || current=
current=${current##*/}
# Asked for only when it would be taken: who has it runs it. That there is no mark looks like a refusal of S3's.
if [ -z "$4" ] && [ "$version" != "$current" ] && "$aws" s3-get "$bucket" "releases/app/$version/bad.json" - >/dev/null 2>&1; then
    problem "corral: release $version is marked as bad, so this host does not take it. Why: corral release show $version -e $environment"
fi
if [ -f $hold ]; then echo "hold $(cat $hold)"; fi
[ -z "${at:-}" ] || echo "named $at"
echo "wanted $version"
echo "sha256 $sha256"
[ -z "$current" ] || echo "current $current"
if read -r serving settings 2>/dev/null </run/corral/app/serving; then
    echo "serving $serving"
    now=$(sha256sum /etc/corral/app.env)
    [ "${now%% *}" != "$settings" ] || echo "settings same"
fi
if answer=$(curl -q -s --max-time 5 http://127.0.0.1:3000/readyz); then
    echo "answers $(printf %s "$answer" | jq -r .release)"
fi
