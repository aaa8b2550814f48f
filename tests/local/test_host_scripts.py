"""The scripts that run on hosts, run here: against an AWS that checks signatures, and real archives."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from corral.releases.archive import pack
from tests.local.fake_aws import KEY, SECRET, SESSION, TOKEN, USERID, FakeAws

ROOT = Path(__file__).resolve().parents[2]
HOST = ROOT / "files" / "host"
NAMES = sorted(path.name for path in HOST.iterdir())


@pytest.fixture
def api():
    server = FakeAws()
    yield server
    server.shutdown()


@pytest.fixture
def run(api, tmp_path):
    """Runs a script as a host would, with a curl that writes its command line down first."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "curl").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/argv\nexec {shutil.which("curl")} "$@"\n'
    )
    (bin / "curl").chmod(0o755)

    def run(script, *arguments, check=True, **variables):
        environment = {
            "PATH": f"{bin}:{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": api.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": api.url,
            **variables,
        }
        done = subprocess.run(
            [HOST / script, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=60
        )
        if check:
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""
        return done

    return run


def refusal(done):
    """The one line by which a script refused."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("corral: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_shellcheck_finds_nothing(name):
    done = subprocess.run(["shellcheck", HOST / name], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_script_can_be_run_and_says_what_it_is_for(name):
    assert os.access(HOST / name, os.X_OK)
    first, second, *_ = (HOST / name).read_text().splitlines()
    assert first == "#!/bin/sh"
    assert second.startswith("# ")


def test_an_object_comes_whole(api, run, tmp_path):
    api.objects["bucket/releases/app/1.0_a-b/app.tar.zst"] = content = os.urandom(200_000)
    run("aws", "s3-get", "bucket", "releases/app/1.0_a-b/app.tar.zst", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == content


def test_an_object_goes_to_stdout(api, run):
    api.objects["bucket/current.json"] = b'{"version": "1.0"}\n'
    assert run("aws", "s3-get", "bucket", "current.json", "-").stdout.strip() == '{"version": "1.0"}'


def test_a_refused_object_leaves_no_file_and_says_why_in_one_line(run, tmp_path):
    said = refusal(run("aws", "s3-get", "bucket", "missing", tmp_path / "got", check=False))
    assert "s3://bucket/missing: HTTP 403, AccessDenied: Access Denied." in said
    assert "docs/secrets.md" in said
    assert not list(tmp_path.glob("got*"))


def test_an_object_is_written_and_a_list_has_all_of_its_pages_in_order(api, run, tmp_path):
    (tmp_path / "request").write_bytes(b"csr\n")
    names = [f"certificates/lab/requests/AROA:i-{number}.csr" for number in range(5)]
    for name in names:
        run("aws", "s3-put", "bucket", name, tmp_path / "request")
    assert api.objects[f"bucket/{names[0]}"] == b"csr\n"
    listed = run("aws", "s3-list", "bucket", "certificates/lab/").stdout.splitlines()
    assert listed == [f"{api.times[f'bucket/{name}']} 4 {name}" for name in names]
    assert run("aws", "s3-list", "bucket", "elsewhere/").stdout == ""
    assert run("aws", "s3-get", "bucket", names[3], "-").stdout.strip() == "csr"


def test_a_host_learns_who_it_is(run):
    assert run("aws", "userid").stdout == f"{USERID}\n"


@pytest.mark.parametrize("value", ["plain", 'with "quotes", $signs \\ and ünïcode', "line\nline\n"])
def test_a_parameter_is_printed_as_it_is(api, run, value):
    api.parameters["/corral/lab/app/database-password"] = value
    assert run("aws", "ssm-get", "/corral/lab/app/database-password").stdout == value


def test_a_missing_parameter_is_named(run):
    said = refusal(run("aws", "ssm-get", "/corral/lab/app/nothing", check=False))
    assert "the parameter /corral/lab/app/nothing" in said
    assert "ParameterNotFound" in said


def test_a_name_gets_its_address(api, run):
    run("aws", "route53-upsert", "Z0123456789", "db.lab.internal", "10.42.16.7")
    assert api.records == {("Z0123456789", "db.lab.internal"): ("UPSERT", "A", "60", "10.42.16.7")}


ATTACH = ("ec2-attach-volume", "vol-0123456789abcdef0", "i-0fedcba9876543210", "/dev/sdf")


def refusing(code, message):
    """EC2's answer to what it will not do (EC2 API reference, "Error codes")."""
    return (
        400,
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>",
    )


def test_a_volume_is_attached(api, run):
    assert run("aws", *ATTACH).stdout == ""
    assert api.forms == [
        {
            "Action": "AttachVolume",
            "Version": "2016-11-15",
            "VolumeId": "vol-0123456789abcdef0",
            "InstanceId": "i-0fedcba9876543210",
            "Device": "/dev/sdf",
        }
    ]


def test_a_volume_is_waited_for_while_another_instance_has_it(api, run):
    in_use = refusing("VolumeInUse", "vol-0123456789abcdef0 is already attached to an instance")
    api.failures = [in_use, in_use, refusing("IncorrectState", "vol-0123456789abcdef0 is not 'available'.")]
    done = run("aws", *ATTACH, check=False)
    assert done.returncode == 0
    assert len(api.forms) == 1
    # Each reason is told once.
    assert [line.partition("HTTP 400, ")[2] for line in done.stderr.splitlines()] == [
        "VolumeInUse: vol-0123456789abcdef0 is already attached to an instance",
        "IncorrectState: vol-0123456789abcdef0 is not 'available'.",
    ]


def test_a_volume_is_not_waited_for_without_end(api, run):
    api.failures = [refusing("VolumeInUse", "vol-0123456789abcdef0 is already attached")] * 100
    said = refusal(run("aws", *ATTACH, check=False, CORRAL_ATTACH_SECONDS="0"))
    assert "still not after 0 s: HTTP 400, VolumeInUse: vol-0123456789abcdef0 is already attached" in said
    assert "docs/data.md" in said


@pytest.mark.parametrize(
    "code", ["InvalidVolume.NotFound", "InvalidVolume.ZoneMismatch", "UnauthorizedOperation"]
)
def test_a_volume_that_will_never_come_is_not_waited_for(api, run, code):
    api.failures = [refusing(code, "no")]
    assert f"HTTP 400, {code}: no" in refusal(run("aws", *ATTACH, check=False))


COMPLETE = ("autoscaling-complete", "chat-lab-app", "terminate", "i-0fedcba9876543210", "CONTINUE")


def test_a_hook_is_answered(api, run):
    assert run("aws", *COMPLETE).stdout == ""
    assert api.forms == [
        {
            "Action": "CompleteLifecycleAction",
            "Version": "2011-01-01",
            "AutoScalingGroupName": "chat-lab-app",
            "LifecycleHookName": "terminate",
            "InstanceId": "i-0fedcba9876543210",
            "LifecycleActionResult": "CONTINUE",
        }
    ]


def complaint(code, message):
    """Auto Scaling's answer to what it will not do."""
    return (
        400,
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>",
    )


NOTHING_WAITS = complaint(
    "ValidationError", "No active Lifecycle Action found with instance ID i-0fedcba9876543210"
)


def test_a_hook_that_does_not_wait_is_no_failure_worth_words(api, run):
    api.failures = [NOTHING_WAITS]
    done = run("aws", *COMPLETE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_an_answer_that_is_refused_is_told(api, run):
    api.failures = [complaint("AccessDenied", "not authorized")]
    said = refusal(run("aws", *COMPLETE, check=False))
    assert (
        "the answer CONTINUE to the hook terminate of chat-lab-app: HTTP 400, AccessDenied: not authorized"
        in said
    )


@pytest.fixture
def leaving(run, tmp_path):
    """Runs `lifecycle`, which asks often, on a host whose systemctl writes down what it is told."""
    (tmp_path / "bin" / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/stopped\n')
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    (tmp_path / "stopped").touch()
    for script in (HOST / "lifecycle", HOST / "aws", ROOT / "files/logging/shipped"):
        shutil.copy(script, tmp_path)

    def leaving(*units, seconds="0", **more):
        done = run(
            tmp_path / "lifecycle",
            "chat-lab-app",
            "i-0fedcba9876543210",
            seconds,
            *units,
            CORRAL_LIFECYCLE_RATE="20/s",
            CORRAL_LIFECYCLE_PAUSE="0.1",
            **more,
        )
        return done, (tmp_path / "stopped").read_text().splitlines()

    return leaving


def test_a_host_that_is_to_end_stops_what_serves_and_says_when_it_is_done(api, leaving):
    api.states = ["InService", "InService", "Terminated"]
    done, stopped = leaving("corral-app.service", "nginx.service")
    assert stopped == ["stop -- corral-app.service", "stop -- nginx.service"]
    assert [form["LifecycleActionResult"] for form in api.forms] == ["CONTINUE"]
    assert api.forms[0]["LifecycleHookName"] == "terminate"
    assert done.stdout.splitlines()[-1] == "corral: done; this instance may end"


def test_a_host_that_is_to_end_lets_its_logs_arrive_before_it_says_so(api, leaving, tmp_path):
    # Without a Filebeat on this machine nothing is left to ship but the journal.
    api.states = ["Terminated"]
    inputs = tmp_path / "inputs.d"
    inputs.mkdir()
    (inputs / "journal.yml").write_text('# ours\n[{"type": "journald", "id": "journal"}]\n')
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry/log.json").touch()
    where = {"CORRAL_FILEBEAT_INPUTS": inputs, "CORRAL_FILEBEAT_REGISTRY": tmp_path / "registry"}
    done, told = leaving("nginx.service", seconds="1", check=False, **{k: str(v) for k, v in where.items()})
    assert told == ["stop -- nginx.service", "--quiet is-active filebeat.service"]
    assert done.stderr == "corral: not shipped within 1 s: the journal\n"
    assert done.stdout.splitlines()[-1] == "corral: done; this instance may end"
    assert len(api.forms) == 1


def test_a_host_that_is_to_stay_is_asked_about_over_one_connection(api, leaving, tmp_path):
    api.states = [None] * 3 + ["InService"] * 30 + ["Terminated"]
    leaving()
    asked = [
        line for line in (tmp_path / "argv").read_text().splitlines() if "target-lifecycle-state" in line
    ]
    assert len(asked) == 1
    assert len(api.states) == 1


def test_an_answer_that_could_not_be_given_is_told_and_given_again(api, leaving):
    api.states = ["Terminated"]
    # Until the load balancer has let go of the host, its group does not wait yet.
    api.failures = [NOTHING_WAITS, complaint("AccessDenied", "not authorized"), NOTHING_WAITS]
    done, _ = leaving(check=False)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "AccessDenied: not authorized" in done.stderr
    assert len(api.forms) == 1


def test_a_token_that_was_forgotten_is_had_anew(api, leaving, tmp_path):
    api.states = ["InService", 401, "Terminated"]
    done, _ = leaving()
    assert done.returncode == 0
    assert (tmp_path / "argv").read_text().count("target-lifecycle-state") == 2


def test_a_unit_that_does_not_stop_keeps_nothing_back(api, leaving, tmp_path):
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\nfalse\n")
    api.states = ["Terminated"]
    done, _ = leaving("corral-app.service", check=False)
    assert done.returncode == 0
    assert "corral-app.service did not stop in good order" in done.stderr
    assert len(api.forms) == 1


def test_nothing_secret_is_on_a_command_line(api, run, tmp_path):
    api.parameters["/secret"] = "the password"
    run("aws", "ssm-get", "/secret")
    argv = (tmp_path / "argv").read_text()
    assert "/latest/api/token" in argv
    assert not [secret for secret in (KEY, SECRET, SESSION, TOKEN, "the password") if secret in argv]


@pytest.mark.parametrize(
    "failure", [(503, "<Code>SlowDown</Code>"), (500, ""), (400, '{"__type":"ThrottlingException"}')]
)
def test_a_passing_fault_is_tried_again(api, run, failure):
    api.parameters["/secret"] = "the password"
    api.failures = [failure]
    assert run("aws", "ssm-get", "/secret").stdout == "the password"
    assert len(api.requests) == 2


def test_what_was_cut_off_is_fetched_again(api, run, tmp_path):
    api.objects["bucket/current.json"] = b"{}"
    api.failures = ["cut off"]
    run("aws", "s3-get", "bucket", "current.json", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"{}"


def test_a_full_disk_is_told_and_leaves_nothing(api, run, tmp_path):
    api.objects["bucket/current.json"] = b"{}"
    (tmp_path / "got.part").symlink_to("/dev/full")
    said = refusal(run("aws", "s3-get", "bucket", "current.json", tmp_path / "got", check=False))
    assert "/bucket/current.json says could not be written" in said
    assert "Is the disk full?" in said
    assert not list(tmp_path.glob("got*"))


def test_a_refusal_is_not_tried_again(api, run):
    refusal(run("aws", "ssm-get", "/nothing", check=False))
    assert len(api.requests) == 1


def test_keys_of_the_environment_come_before_those_of_the_role(api, run):
    api.parameters["/secret"] = "the password"
    api.role = ""
    own = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": SESSION,
        "AWS_REGION": "eu-west-1",
    }
    assert run("aws", "ssm-get", "/secret", **own).stdout == "the password"
    wrong = run("aws", "ssm-get", "/secret", check=False, **{**own, "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert "SignatureDoesNotMatch" in refusal(wrong)


def test_a_host_without_a_role_is_told_so(api, run):
    api.role = ""
    assert "no role" in refusal(run("aws", "ssm-get", "/secret", check=False))


@pytest.mark.parametrize("words", [[], ["s3-get", "bucket"], ["ssm-get"], ["dance", "a", "b", "c"]])
def test_wrong_words_get_the_usage(run, words):
    assert "usage: aws s3-get" in refusal(run("aws", *words, check=False))


@pytest.mark.parametrize("key", ["a b", "a?versionId=1", "../other%2f"])
def test_a_key_that_is_no_key_is_not_asked_for(api, run, key):
    refusal(run("aws", "s3-get", "bucket", key, "-", check=False))
    assert api.requests == []


def test_a_secret_is_for_its_owner_alone(run, tmp_path):
    file = tmp_path / "password"
    owner = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    run("secret", file, owner, "printf", "%s", "the password")
    assert file.read_text() == "the password"
    assert file.stat().st_mode & 0o777 == 0o400
    run("secret", file, owner, "printf", "%s", "another")
    assert file.read_text() == "another"


@pytest.mark.parametrize("command", [["false"], ["true"]], ids=["fails", "prints nothing"])
def test_a_secret_that_can_not_be_had_leaves_the_old_one(run, tmp_path, command):
    file = tmp_path / "password"
    file.write_text("old")
    refusal(run("secret", file, "root", *command, check=False))
    assert file.read_text() == "old"
    assert not (tmp_path / "password.new").exists()


@pytest.fixture
def archive(tmp_path):
    """An archive as `corral release build` packs it, and its checksum."""
    tree = tmp_path / "tree"
    (tree / "server").mkdir(parents=True)
    (tree / "server" / "main.js").write_text("serve();\n")
    packed = pack(tree, tmp_path / "app.tar.zst", lambda _: True)
    return tmp_path / "app.tar.zst", packed.sha256


def tree(directory):
    return {
        str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()
    }


def test_an_archive_is_unpacked_once(run, archive, tmp_path):
    file, sha256 = archive
    target = tmp_path / "releases" / "1.0"
    run("install-archive", file, sha256, target)
    assert tree(target) == {"server/main.js": "serve();\n", ".complete": f"{sha256}\n"}
    file.unlink()
    run("install-archive", file, sha256, target)
    assert sorted(path.name for path in target.parent.iterdir()) == [".lock", "1.0"]


def test_an_archive_comes_from_s3(api, run, archive, tmp_path):
    file, sha256 = archive
    api.objects["bucket/releases/app/1.0/app.tar.zst"] = file.read_bytes()
    run("install-archive", "s3://bucket/releases/app/1.0/app.tar.zst", sha256, tmp_path / "releases" / "1.0")
    assert (tmp_path / "releases" / "1.0" / "server" / "main.js").exists()


def test_a_wrong_checksum_unpacks_nothing(run, archive, tmp_path):
    file, sha256 = archive
    wanted = hashlib.sha256(b"another").hexdigest()
    said = refusal(run("install-archive", file, wanted, tmp_path / "releases" / "1.0", check=False))
    assert "wrong checksum" in said
    assert sha256 in said and wanted in said
    assert [path.name for path in (tmp_path / "releases").iterdir()] == [".lock"]


def test_a_name_that_was_given_twice_is_refused_and_what_is_there_stays(run, archive, tmp_path):
    file, sha256 = archive
    target = tmp_path / "releases" / "1.0"
    run("install-archive", file, sha256, target)
    before = tree(target)
    other = hashlib.sha256(b"another").hexdigest()
    assert "wrong checksum" in refusal(run("install-archive", file, other, target, check=False))
    assert tree(target) == before


def test_what_is_no_archive_leaves_nothing(run, tmp_path):
    file = tmp_path / "app.tar.zst"
    file.write_bytes(b"no archive")
    sha256 = hashlib.sha256(b"no archive").hexdigest()
    done = run("install-archive", file, sha256, tmp_path / "releases" / "1.0", check=False)
    assert done.returncode == 1
    assert "could not be unpacked; nothing was changed" in done.stderr
    assert [path.name for path in (tmp_path / "releases").iterdir()] == [".lock"]
