# shellcheck shell=sh
# Which release should this host serve, and which does it serve? Prints "word value" lines:
#   wanted VERSION, sha256 SUM      what to serve, and the checksum of its archive
#   problem TEXT                    why that can't be known
#   current VERSION                 what the link says
#   serving VERSION                 what app-processes brought into service last, to the end
#   settings same                   with the settings that stand in /etc/corral/app.env now
#   answers VERSION                 what the port says
#
# $1 the bucket, $2 the environment, $3 a version (or "": the environment's pointer), $4 its sha256 (or "": ask S3).
bucket=$1 environment=$2 version=$3 sha256=$4
aws=/usr/local/lib/corral/aws
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

if [ -z "$version" ]; then
    pointer=$(pointer 2>&1) ||
        problem "$pointer If no release was chosen yet: corral release point VERSION -e $environment"
    wanted=$(printf %s "$pointer" | jq -re '.version, .sha256') ||
        problem "corral: environments/$environment/app/current.json is not a pointer; write it anew: corral release point"
    version=${wanted%%"
"*}
    sha256=${wanted##*"
"}
elif [ -z "$sha256" ]; then
    sha256=$("$aws" s3-get "$bucket" "releases/app/$version/app.tar.zst.sha256" - 2>&1) || problem "$sha256"
    sha256=${sha256%% *}
fi
echo "wanted $version"
echo "sha256 $sha256"

if current=$(readlink /srv/app/current); then echo "current ${current##*/}"; fi
if read -r serving settings 2>/dev/null </run/corral/app/serving; then
    echo "serving $serving"
    now=$(sha256sum /etc/corral/app.env)
    [ "${now%% *}" != "$settings" ] || echo "settings same"
fi
if answer=$(curl -q -s --max-time 5 http://127.0.0.1:3000/readyz); then
    echo "answers $(printf %s "$answer" | jq -r .release)"
fi
