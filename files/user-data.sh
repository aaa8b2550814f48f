#!/bin/sh
# First boot of every host, whatever its role: learn who we are from the instance's tags, write it down, tell our group.
# cloud-init runs this once; it asks the metadata service (IMDSv2) and Auto Scaling only, and needs nothing but curl.
set -eu

metadata=http://169.254.169.254/latest
token=$(curl -fsS --retry 5 --retry-connrefused -m 10 -X PUT \
    -H 'X-aws-ec2-metadata-token-ttl-seconds: 900' "$metadata/api/token")

get() {
    curl -fsS --retry 5 --retry-connrefused -m 10 -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/$1"
}

role=$(get tags/instance/corral:role)
environment=$(get tags/instance/corral:environment)
zone_id=$(get tags/instance/corral:private-zone-id)
group=$(get tags/instance/aws:autoscaling:groupName)
region=$(get placement/region)
instance=$(get instance-id)

# Written beside and moved into place: a reader sees all of it or nothing.
mkdir -p /etc/corral
umask 022
cat >/etc/corral/node.env.new <<EOF
CORRAL_ROLE=$role
CORRAL_ENVIRONMENT=$environment
CORRAL_REGION=$region
CORRAL_INSTANCE=$instance
CORRAL_PRIVATE_ZONE_ID=$zone_id
EOF
mv /etc/corral/node.env.new /etc/corral/node.env

echo "corral: $instance is a host of role $role in environment $environment, region $region"

# Tells our group that we are ready, with the credentials of our role. They go by stdin, so they are on no command line.
ready() {
    given=$(get "iam/security-credentials/$(get iam/security-credentials/)")
    field() { printf '%s\n' "$given" | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }
    printf 'user = "%s:%s"\nheader = "X-Amz-Security-Token: %s"\n' \
        "$(field AccessKeyId)" "$(field SecretAccessKey)" "$(field Token)" |
        curl -q -sS -K - -m 20 -w ' HTTP %{http_code}' --aws-sigv4 "aws:amz:$region:autoscaling" \
            --data "Action=CompleteLifecycleAction&Version=2011-01-01&LifecycleHookName=launch" \
            --data "InstanceId=$instance&LifecycleActionResult=CONTINUE" \
            --data-urlencode "AutoScalingGroupName=$group" "https://autoscaling.$region.amazonaws.com/" 2>&1
}

for pause in 5 5 5 10 20 40 60 0; do
    answer=$(ready | tr -d '\n') || :
    case $answer in
    *' HTTP 200')
        echo "corral: $group knows that $instance is ready"
        exit
        ;;
    *'No active Lifecycle Action found'*)
        # Its group comes to wait a little later than we are up, or has no such hook.
        [ "$pause" = 5 ] || exit 0
        ;;
    esac
    sleep "$pause"
done
echo "corral: $group could not be told that $instance is ready: $answer" >&2
exit 1
