#!/bin/sh
# First boot of every host, whatever its role: learn who we are from the instance's tags, and write it down.
# cloud-init runs this once; it asks the metadata service only (IMDSv2), and needs nothing but curl.
set -eu

metadata=http://169.254.169.254/latest
token=$(curl -fsS --retry 5 --retry-connrefused -m 10 -X PUT \
    -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/api/token")

get() {
    curl -fsS --retry 5 --retry-connrefused -m 10 -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/$1"
}

role=$(get tags/instance/corral:role)
environment=$(get tags/instance/corral:environment)
zone_id=$(get tags/instance/corral:private-zone-id)
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
