# shellcheck shell=sh
# Is the release ready, and does it stay so? $1 the version, $2 how many times to ask, a second apart. Each answer of /readyz
# must be good, and be this release's; else it says which was not, and what the application logged last.
set -eu
version=$1 times=$2
url=http://127.0.0.1:3000/readyz
asked=0
while [ "$asked" -lt "$times" ]; do
    [ "$asked" = 0 ] || sleep 1
    asked=$((asked + 1))
    code=0
    answer=$(curl -q -sS --max-time 5 -w '\n%{http_code}' $url 2>&1) || code=$?
    status=$(printf %s "$answer" | tail -n 1)
    body=$(printf %s "$answer" | sed '$d')
    release=$(printf %s "$body" | jq -r '.release' 2>/dev/null) || release=
    [ "$code:$status:$release" = "0:200:$version" ] && continue
    {
        echo "corral: the check that release $version is ready failed, the $asked. of $times times that $url was asked."
        echo "Its last answer: $status $(printf %.500s "$body")"
        log=$(sed -n 's/^LOG_FILE=//p' /etc/corral/app.env)
        echo "The last lines of $log:"
        tail -n 50 "$log" | cut -c 1-500
    } >&2
    exit 1
done
