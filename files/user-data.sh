#!/bin/sh
# First boot of every host: learns from its tags who it is, fetches the bundle that its environment names, converges by
# it; "user-data.sh fetch" only fetches. Needs curl, tar, Debian's Python, AWS.
set -eu
umask 022
here=/opt/corral
node=/etc/corral/node.env
end=$(($(date +%s) + 120))

say() { echo "corral: $*" >&2; }

imds() {
    url=http://169.254.169.254/latest/$1
    shift
    answer=$(curl -qfsS --retry 5 --retry-connrefused -m 10 "$@" "$url" 2>&1) && echo "$answer" && return
    say "$url: $answer"
    return 1
}

get() { imds "meta-data/$1" -H "X-aws-ec2-metadata-token: $token"; }

learn() {
    value=$(get "$2")
    eval "$1=\$value"
    echo "CORRAL_$1=$value" >>$node.new
}

token=$(imds api/token -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 3600')
mkdir -p ${node%/*} $here/bundles
echo "CORRAL_DATA_VOLUME=" >$node.new
t=tags/instance
# No answer is not the same as no such tag.
tags=$(get $t)
case $tags in *corral:data-volume*) learn DATA_VOLUME $t/corral:data-volume ;; esac
learn ROLE $t/corral:role
learn ENVIRONMENT $t/corral:environment
learn SETTINGS $t/corral:settings
learn BUCKET $t/corral:releases-bucket
learn PRIVATE_ZONE_ID $t/corral:private-zone-id
learn GROUP $t/aws:autoscaling:groupName
learn REGION placement/region
learn ZONE placement/availability-zone
learn INSTANCE instance-id
learn ADDRESS local-ipv4
mv $node.new $node

# ask SERVICE PATH OPTION…: AWS, with our role's credentials; they go by stdin, so they are on no command line.
ask() {
    service=$1 url=https://$1.$REGION.amazonaws.com/$2
    shift 2
    given=$(get iam/security-credentials/) && given=$(get "iam/security-credentials/$given") || return
    field() { printf '%s\n' "$given" | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }
    printf 'user = "%s:%s"\nheader = "X-Amz-Security-Token: %s"\n' \
        "$(field AccessKeyId)" "$(field SecretAccessKey)" "$(field Token)" |
        curl -qfsS -K - --connect-timeout 5 -y 20 -Y 1000 --aws-sigv4 "aws:amz:$REGION:$service" "$@" "$url"
}

# What was not checked is never unpacked; what is, beside, and then moved into place.
fetch() {
    pointer=$(ask s3 "$BUCKET/environments/$ENVIRONMENT/bundle.json") || return
    digest=$(printf %s "$pointer" | sed -n 's/.*"digest": *"\([0-9a-f]\{64\}\)".*/\1/p')
    [ "$digest" ] || { echo "the pointer names none" && return 1; }
    if [ ! -d "$here/bundles/$digest" ]; then
        ask s3 "$BUCKET/bundles/$digest.tar.gz" -o $here/new.tar.gz || return
        echo "$digest $here/new.tar.gz" | sha256sum -c --status || { echo "$digest has another SHA-256" && return 1; }
        rm -rf $here/new && mkdir $here/new && tar -xzf $here/new.tar.gz -C $here/new --no-same-owner || return
        sync -f $here/new && mv -T $here/new "$here/bundles/$digest" && rm $here/new.tar.gz || return
    fi
    ln -sfn "bundles/$digest" $here/next && mv -fT $here/next $here/current
}

abandon() {
    id=$(ask sts "" -d 'Action=GetCallerIdentity&Version=2011-06-15' |
        sed -n 's/.*<UserId>\(.*\):\(.*\)<\/UserId>.*/\1%3A\2/p')
    cat >$here/report <<EOF
{"schema": 1, "instance": "$INSTANCE", "role": "$ROLE", "environment": "$ENVIRONMENT",
"zone": "$ZONE", "address": "$ADDRESS", "why": "boot", "started": "$(date -u +%FT%TZ)", "seconds": 0,
"result": "failed", "failed": {"operation": "Fetch a bundle", "output": ["$why"]}}
EOF
    ask s3 "$BUCKET/reports/$ENVIRONMENT/$id.json" -X PUT --data-binary @$here/report -H Content-Type:application/json || :
    ask autoscaling "" -d 'Action=CompleteLifecycleAction&Version=2011-01-01' \
        -d "AutoScalingGroupName=$GROUP&LifecycleHookName=launch&InstanceId=$INSTANCE&LifecycleActionResult=ABANDON" >&2
}

pause=1
until why=$(fetch 2>&1); do
    why=$(printf %s "$why" | tr '\n\\"' "  '")
    say "no bundle: $why"
    if [ "$(date +%s)" -ge $end ]; then
        [ "${1:-}" = fetch ] || abandon
        exit 1
    fi
    sleep $pause
    [ $pause = 16 ] || pause=$((pause * 2))
done
say "$INSTANCE, $ROLE of $ENVIRONMENT: $(readlink $here/current)"
[ "${1:-}" = fetch ] || exec $here/current/files/node/converge boot
