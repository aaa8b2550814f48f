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

tags=$(get tags/instance)
role=$(get tags/instance/corral:role)
environment=$(get tags/instance/corral:environment)
settings=$(get tags/instance/corral:settings)
bucket=$(get tags/instance/corral:releases-bucket)
zone_id=$(get tags/instance/corral:private-zone-id)
group=$(get tags/instance/aws:autoscaling:groupName)
volume=
# Only singletons have one. No answer is not the same as no such tag.
case $tags in *corral:data-volume*) volume=$(get tags/instance/corral:data-volume) ;; esac
region=$(get placement/region)
zone=$(get placement/availability-zone)
instance=$(get instance-id)
address=$(get local-ipv4)

# Written beside and moved into place: a reader sees all of it or nothing.
mkdir -p /etc/corral
umask 022
cat >/etc/corral/node.env.new <<EOF
CORRAL_ROLE=$role
CORRAL_ENVIRONMENT=$environment
CORRAL_SETTINGS=$settings
CORRAL_BUCKET=$bucket
CORRAL_GROUP=$group
CORRAL_REGION=$region
CORRAL_ZONE=$zone
CORRAL_INSTANCE=$instance
CORRAL_ADDRESS=$address
CORRAL_PRIVATE_ZONE_ID=$zone_id
CORRAL_DATA_VOLUME=$volume
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
