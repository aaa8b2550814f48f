"""Logs of real hosts: certificates, rotation by the units that do it, last lines, and who is silent."""

import json
from datetime import datetime

from tests.lab.fleet import run, wait_for

FOLDER = "/var/lib/corral/certificates"
CERTIFICATE = f"{FOLDER}/host.pem"
INPUTS = "/etc/filebeat/inputs.d"
CAN_NOT_BE = '[{"type": "none"}]'


def found(fleet, member, text):
    """The lines of a host that hold a text, as an operator finds them."""
    which = ["-e", fleet.settings.reference, "--host", member.instance_id, "--json"]
    said = run("corral", "logs", *which, f'"{text}"', check=False).stdout
    return [json.loads(line) for line in said.splitlines()]


def serial(fleet, member):
    command = f"openssl x509 -in {CERTIFICATE} -noout -serial"
    return fleet.shell(member, command, check=False).stdout.strip()


def renewed(fleet, member):
    """Have a host get itself another certificate; its serial number."""
    fleet.shell(member, f"rm {CERTIFICATE} && systemctl restart corral-certificate")
    return wait_for("it has another one", lambda: serial(fleet, member), seconds=60)


def shown(fleet, member, port):
    """The serial number of the certificate that a host's port shows."""
    shows = f"openssl s_client -connect localhost:{port} </dev/null 2>&1 | openssl x509 -noout -serial"
    return fleet.shell(member, shows, check=False).stdout.strip()


def test_every_host_has_a_certificate_of_the_environment_and_ships_by_it(fleet):
    for member in fleet.members():
        wait_for("it has a certificate", lambda member=member: serial(fleet, member), seconds=120)
        check = f"openssl verify -CAfile /etc/corral/ca.pem {CERTIFICATE} && systemctl is-active filebeat"
        assert fleet.shell(member, check).stdout.split() == [f"{CERTIFICATE}:", "OK", "active"]
        subject = fleet.shell(member, f"openssl x509 -in {CERTIFICATE} -noout -subject").stdout
        assert subject.strip() == f"subject=CN={member.instance_id}"


def test_the_log_server_tells_of_each_host_when_its_newest_line_is(fleet):
    ids = {member.instance_id for member in fleet.members()}

    def told():
        key = f"logs/{fleet.settings.environment}/seen.json"
        bucket = fleet.client("s3")
        there = bucket.list_objects_v2(Bucket=fleet.settings.releases_bucket, Prefix=key)
        if not there["KeyCount"]:
            return None
        body = bucket.get_object(Bucket=fleet.settings.releases_bucket, Key=key)["Body"].read()
        return json.loads(body)

    said = wait_for("all are told of", lambda: told() and ids <= told()["hosts"].keys() and told(), 150)
    for host in ids:
        age = datetime.fromisoformat(said["at"]) - datetime.fromisoformat(said["hosts"][host])
        assert age.total_seconds() < 120
    assert all(host["logs"] for host in fleet.status().values())


def test_a_certificate_that_is_gone_is_had_anew_and_taken_up(fleet):
    (member,) = fleet.members("db")
    before, key = serial(fleet, member), fleet.shell(member, f"sha256sum {FOLDER}/host.key").stdout
    begun = fleet.started(member, "filebeat")
    assert renewed(fleet, member) != before
    assert fleet.shell(member, f"sha256sum {FOLDER}/host.key").stdout != key
    wait_for("Filebeat has it", lambda: fleet.started(member, "filebeat") > begun, seconds=20)


def test_another_certificate_of_the_log_server_comes_to_all_its_programs(fleet):
    (elk,), app = fleet.members("elk"), fleet.members("app")[0]
    begun = {unit: fleet.started(elk, unit) for unit in ("elasticsearch", "logstash", "kibana")}
    new = renewed(fleet, elk)
    for port in (9200, 5044, 443):
        wait_for(f"port {port} shows it", lambda port=port: shown(fleet, elk, port) == new, seconds=120)
    for unit, before in begun.items():
        wait_for(f"{unit} runs anew", lambda u=unit, b=before: fleet.started(elk, u) > b, seconds=60)
    text = f"written after {new}"
    for member in (elk, app):
        fleet.shell(member, f"logger '{text}'")
        wait_for("its lines are found", lambda m=member: found(fleet, m, text), seconds=60)
    assert fleet.converge("--limit", elk.private_address).changed == {}


def test_inputs_that_no_task_declares_go(fleet):
    """Here some that Filebeat could not take: it would end at its next start."""
    (member,) = fleet.members("db")
    bad, one = f"{INPUTS}/bad.yml", ("--limit", member.private_address)
    fleet.shell(member, f"echo '{CAN_NOT_BE}' >{bad}")
    changed = {"Configure Filebeat and what it reads", "Rotate logs, and ship them"}
    assert set(fleet.converge(*one).changed) == changed
    fleet.shell(member, f"test ! -e {bad}; systemctl is-active filebeat")
    assert fleet.converge(*one).changed == {}


def test_inputs_that_filebeat_can_not_take_fail_the_converge_and_mended_ones_are_taken_up(fleet):
    (member,) = fleet.members("db")
    due, one = "/run/corral/restart", ("--limit", member.private_address)
    drop_in, bad = "/run/systemd/system/filebeat.service.d", "/run/bad.yml"
    reads = f'[Service]\nEnvironment="BEAT_LOG_OPTS=-E filebeat.config.inputs.path={bad}"'
    fleet.shell(
        member,
        f"echo '{CAN_NOT_BE}' >{bad}; mkdir -p {due} {drop_in}; touch {due}/filebeat.service;"
        f"echo '{reads}' >{drop_in}/bad.conf; systemctl daemon-reload",
    )
    try:
        failed = fleet.converge(*one, check=False)
    finally:
        fleet.shell(member, f"rm -r {bad} {drop_in}; systemctl daemon-reload")
    assert failed.returncode != 0
    assert "filebeat.service is " in failed.stderr and "but not healthy" in failed.stderr
    assert set(fleet.converge(*one).changed) == {"Rotate logs, and ship them"}
    assert fleet.converge(*one).changed == {}


# As if the last time had been long ago, all under the unit of Debian's that does it.
ROTATE = """
sed -i "s#^\\(\\"/var/log/chat-app/.*\\" \\).*#\\12026-1-1-0:0:0#" /var/lib/logrotate/status
grep -q chat-app/app.log /var/lib/logrotate/status || {
    systemctl start logrotate.service
    sed -i "s#^\\(\\"/var/log/chat-app/.*\\" \\).*#\\12026-1-1-0:0:0#" /var/lib/logrotate/status
}
systemctl start logrotate.service
"""
# Where each of the application's processes writes; Filebeat reads the old file to its end.
OPEN = "for p in $(pgrep -u app); do readlink /proc/$p/fd/*; done | grep ^/var/log/chat-app/ | sort | uniq -c"


def test_an_application_writes_on_into_a_new_file_when_its_log_is_rotated(fleet):
    member = fleet.members("app")[0]
    fleet.shell(member, "echo of today >>/var/log/chat-app/console.log")
    before = fleet.shell(member, OPEN).stdout
    fleet.shell(member, ROTATE)
    files = fleet.shell(member, "ls /var/log/chat-app").stdout.split()
    assert len([name for name in files if name.startswith("app.log-")]) == 1
    wait_for("all write to the new files", lambda: fleet.shell(member, OPEN).stdout == before, seconds=60)
    assert "app.log-" not in before


def test_the_last_lines_of_a_host_that_goes_are_there(fleet):
    fleet.scale(3)
    wait_for("three app servers", lambda: len(fleet.members("app")) == 3, seconds=240)
    member = fleet.members("app")[-1]
    wait_for("it has a certificate", lambda: serial(fleet, member), seconds=60)
    last = f"the last words of {member.instance_id}"
    # Some, so that they are on their way when it is to end.
    fleet.shell(member, f"for n in $(seq 2000); do echo '{last}' $n >>/var/log/chat-app/console.log; done")
    fleet.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=member.instance_id, ShouldDecrementDesiredCapacity=True
    )
    wait_for("it is gone", lambda: len(fleet.members("app")) == 2, seconds=120)
    wait_for("its last line is found", lambda: found(fleet, member, f"{last} 2000"), seconds=60)
    whole = "corral: waiting until all logs have arrived"
    wait_for("so is the journal's", lambda: found(fleet, member, whole), seconds=60)
