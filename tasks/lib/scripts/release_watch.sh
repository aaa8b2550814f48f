# shellcheck shell=sh
# Is the release ready, and does it stay so? $1 the version, $2 how many times to ask, a second apart: each answer of /readyz
# must be good, and be this release's. Then what the load balancer asks, by the URLs from $3 on. Else it says which answer was
# not good, and what the application logged last.
set -eu
version=$1 times=$2
shift 2
url=http://127.0.0.1:3000/readyz

# Says which check failed and its last answer, and ends.
give_up() {
    {
        echo "corral: the check that release $version is ready failed, $1."
        echo "Its last answer: $2"
        log=$(sed -n 's/^LOG_FILE=//p' /etc/corral/app.env)
        for file in "${log%/*}/console.log" "$log"; do
            [ -s "$file" ] || continue
            echo "The last lines of $file:"
            tail -n 50 "$file" | cut -c 1-500
        done
    } >&2
    exit 1
}

asked=0
while [ "$asked" -lt "$times" ]; do
    [ "$asked" = 0 ] || sleep 1
    asked=$((asked + 1))
    code=0
    answer=$(curl -q -sS --max-time 5 -w '\n%{http_code}' $url 2>&1) || code=$?
    status=$(printf %s "$answer" | tail -n 1)
    body=$(printf %s "$answer" | sed '$d')
    release=$(printf %s "$body" | jq -r '.release' 2>/dev/null) || release=
    [ "$code:$status:$release" = "0:200:$version" ] ||
        give_up "the $asked. of $times times that $url was asked" "$status $(printf %.500s "$body")"
done
for door; do
    answer=$(curl -q -sS --fail --max-time 5 -o /dev/null "$door" 2>&1) ||
        give_up "when $door was asked, as the load balancer does" "$answer"
done
