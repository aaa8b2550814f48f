"""Settings: every environment is valid, and everything that can be wrong with one is said in a sentence."""

import json
import re
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from corral.errors import CorralError
from corral.settings import ENVIRONMENTS, ROOT, Settings, branch_name, known, load
from corral.settings.sections import Aws

LAB = load("lab")

GOOD = """
account = "123456789012"
region = "eu-west-1"
zones = ["eu-west-1a", "eu-west-1b"]
domain = "chat.example.com"
hosted_zone_id = "Z0123456789"
[network]
cidr = "10.42.0.0/16"
[app]
instance_type = "t3.small"
min = 2
max = 6
desired = 2
[db]
instance_type = "t3.small"
[elk]
instance_type = "t3.medium"
[release]
instance_type = "t3.nano"
"""


LONG = f"{'x' * 53}.example.com"
CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/0f0e"


def read(tmp_path, text, name="mine"):
    path = tmp_path / "environments" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Settings.from_toml(path)


def complaint(tmp_path, text, **options):
    with pytest.raises(CorralError) as caught:
        read(tmp_path, text, **options)
    assert caught.value.see == "docs/settings.md"
    return caught.value


@pytest.mark.parametrize("name", known())
def test_every_environment_of_the_repository_is_valid(name):
    assert load(name).environment == name


def test_names_follow_from_settings():
    lab = load("lab")
    assert lab.stack_name == "chat-lab"
    assert lab.releases_bucket == "chat-lab-releases-123456789012"
    assert lab.private_zone == "lab.internal"
    assert lab.role_name("app") == "chat-lab-app"
    assert lab.parameter("app", "database-password") == "/corral/lab/app/database-password"
    assert lab.public_cidrs == ("10.42.0.0/24", "10.42.1.0/24", "10.42.2.0/24")
    assert lab.private_cidrs == ("10.42.16.0/20", "10.42.32.0/20", "10.42.48.0/20")
    assert lab.host_name("db") == "db.lab.internal"
    assert lab.image_parameter == "/corral/lab/image"
    assert lab.singleton_zone("elk") == "eu-west-1a"


def test_the_environment_is_chosen_by_name_by_variable_or_is_live(monkeypatch):
    assert load().environment == "live"
    monkeypatch.setenv("CORRAL_ENV", "branch")
    assert load().environment == "branch"
    assert load("lab").environment == "lab"


@pytest.mark.parametrize("name", ["nope", "../pyproject", "", "live.toml", "nope/branch"])
def test_an_unknown_environment_is_refused_with_the_known_ones(name, monkeypatch):
    monkeypatch.setenv("CORRAL_ENV", name or "nope")
    with pytest.raises(CorralError) as caught:
        load(name)
    assert f"no environments/{name.removesuffix('/branch') or 'nope'}.toml" in str(caught.value)
    assert "branch, lab, lab-branch, live, test" in caught.value.remedy


def test_a_branchs_environment_is_made_from_a_file_by_name(tmp_path):
    path = tmp_path / "environments" / "many.toml"
    path.parent.mkdir()
    path.write_text("branch_days = 3\n" + GOOD)
    made = Settings.from_toml(path, branch="feature-x")
    assert (made.environment, made.pattern, made.domain) == (
        "feature-x",
        "many",
        "feature-x.chat.example.com",
    )
    assert made.reference == "many/feature-x"
    assert Settings.from_toml(path).reference == "many"
    with pytest.raises(CorralError, match="'Feature' is no name for an environment"):
        Settings.from_toml(path, branch="Feature")


@pytest.mark.parametrize("domain", ["domain = 5", ""])
def test_a_domain_that_is_no_text_is_refused_as_it_stands_in_the_file(tmp_path, domain):
    path = tmp_path / "environments" / "many.toml"
    path.parent.mkdir()
    path.write_text("branch_days = 3\n" + GOOD.replace('domain = "chat.example.com"', domain))
    with pytest.raises(CorralError, match=r"domain: (5 is of the wrong type|is missing)"):
        Settings.from_toml(path, branch="feature-x")


def test_no_branch_is_made_from_a_file_that_does_not_say_so():
    with pytest.raises(CorralError) as caught:
        load("live/feature-x")
    assert caught.value.problem == "No environments of branches are made from environments/live.toml."


def test_a_branch_can_not_have_the_name_of_a_file():
    with pytest.raises(CorralError, match=r"There is an environments/test.toml already\."):
        load("branch/test")


@pytest.mark.parametrize(
    ("branch", "name"), [("feature-x", "feature-x"), ("Feature/Login_2", "feature-login-2"), ("-a-", "a")]
)
def test_a_branch_of_git_gives_a_name(branch, name):
    assert branch_name(branch) == name


@pytest.mark.parametrize(
    ("branch", "shorter"),
    [("feature/login-by-mail", "feature-login-b"), ("123-fix", "b-123-fix"), ("ä", "b")],
)
def test_a_branch_whose_name_does_not_fit_is_refused_with_one_that_does(branch, shorter):
    with pytest.raises(CorralError) as caught:
        branch_name(branch)
    assert caught.value.remedy == f"Give a name that fits, such as --branch {shorter}"
    assert branch_name(shorter) == shorter


WRONG = [
    (
        'account = "123456789012"',
        "account = 123456789012",
        "account: 123456789012 is of the wrong type. Write a text",
    ),
    ('"123456789012"', '"12345"', "account: '12345' is not an AWS account id. Write its 12 digits"),
    ("[network]", "project = 'chat-'\n[network]", "project: 'chat-' does not look right."),
    ("[network]", "project = '-'\n[network]", "project: '-' does not look right."),
    ('"eu-west-1"\n', '"Ireland"\n', "region: 'Ireland' does not look right."),
    ('"eu-west-1"\n', '"cn-north-1"\n', "region: cn-north-1 is in a partition of AWS of its own, for which"),
    ('"eu-west-1"\n', '"us-gov-west-1"\n', "region: us-gov-west-1 is in a partition of AWS of its own"),
    ('"eu-west-1b"', '"us-east-1b"', "zones: us-east-1b is not in eu-west-1. List zones such as eu-west-1a."),
    (', "eu-west-1b"', "", "zones: a load balancer needs two zones or more. List 2 to 6"),
    ("eu-west-1b", "eu-west-1a", "zones: a load balancer needs two zones or more."),
    (
        "chat.example.com",
        "http://chat.example.com",
        "domain: 'http://chat.example.com' is not a domain name.",
    ),
    ("chat.example.com", "chat", "domain: 'chat' is not a domain name. Write one such as"),
    ("chat.example.com", "-a.example.com", "domain: '-a.example.com' is not a domain name."),
    ("chat.example.com", "10.0.0.1", "domain: '10.0.0.1' is an address, for which there is neither a zone"),
    (
        "chat.example.com",
        LONG,
        f"certificate_arn: {LONG} has 65 characters, and a certificate takes 64",
    ),
    ('hosted_zone_id = "Z0123456789"', "", "certificate_arn: no certificate can be made"),
    ("[network]", "create_zone = true\n[network]", "create_zone: hosted_zone_id is given too. Keep one"),
    ("10.42.0.0/16", "10.42.0.1/16", "network.cidr: not an IPv4 network: 10.42.0.1/16 has host bits set."),
    ("10.42.0.0/16", "10.0.0.0/8", "network.cidr: a VPC is a /16 to a /19 here. Write one such as"),
    ("10.42.0.0/16", "10.42.0.0/20", "network.cidr: a VPC is a /16 to a /19 here. Write one such as"),
    ("10.42.0.0/16", "11.42.0.0/16", "network.cidr: 11.42.0.0/16 holds addresses of the internet"),
    ("10.42.0.0/16", "172.32.0.0/16", "network.cidr: 172.32.0.0/16 holds addresses of the internet"),
    (
        "[app]",
        "operator_cidrs = ['10.0.0.0/8', '0.0.0.0/0']\n[app]",
        "network.operator_cidrs: 0.0.0.0/0 would open SSH to the whole world. List the networks",
    ),
    (
        "[release]",
        "client_cidrs = ['0.0.0.0/0']\n[release]",
        "elk.client_cidrs: 0.0.0.0/0 would show everybody's logs to the whole world. List the networks",
    ),
    ("[network]", "timezone = 'Europe/Atlantis'\n[network]", "timezone: 'Europe/Atlantis' is not a time"),
    (
        "[app]",
        "nat = 'two'\n[app]",
        "network.nat: 'two' is not one of the choices. Write one of 'none', 'one'",
    ),
    (
        "[app]",
        "nat = 'none'\n[app]",
        "network.nat: without NAT no server reaches the AWS API, nor packages: none would ever be",
    ),
    (
        'hosted_zone_id = "Z0123456789"',
        "create_zone = true",
        "certificate_arn: none can be proven in a zone that the stack makes, as nothing points to it",
    ),
    ("desired = 2", "desired = 7", "app.desired: 7 is outside min..max. Give a number from 2 to 6."),
    ("desired = 2", "desired = '2'", "app.desired: '2' is of the wrong type. Write a whole number"),
    ("max = 6", "max = 1", "app.max: 1 is below app.min (2). Raise max or lower min."),
    ("min = 2", "min = 0", "app.min: 0 is out of bounds. Write 1 or more."),
    (
        "[db]",
        "drain_seconds = 76\n[db]",
        "app: drain_seconds is 76, but a server that goes has 120 s in all, for its logs too."
        " Raise lifecycle.terminate_seconds to 121 at least",
    ),
    (
        "[elk]",
        "zone = 'eu-west-1c'\n[elk]",
        "db: its zone eu-west-1c is none of zones. Choose one of eu-west",
    ),
    ("[elk]", "data_volume = 'v'\n[elk]", "db.data_volume: 'v' does not look right."),
    ("[network]", "branch_days = 0\n[network]", "branch_days: 0 is out of bounds. Write 1 or more."),
    ("[network]", "alarm_topic = 'me'\n[network]", "alarm_topic: 'me' does not look right."),
    (
        "[network]",
        "permissions_boundary = 'me'\n[network]",
        "permissions_boundary: 'me' does not look right.",
    ),
    ("max = 6", "mux = 6", "app.mux: there is no such setting. Did you mean app.max?"),
    ("[network]", "desired = 2\n[network]", "desired: there is no such setting. Did you mean app.desired?"),
    (
        "[network]",
        "zzz = 2\n[network]",
        "zzz: there is no such setting. Known here: account, alarm_topic, app,",
    ),
    ('[db]\ninstance_type = "t3.small"\n', "", "db: is missing. Add it."),
    (
        '[db]\ninstance_type = "t3.small"',
        "[db]\ninstance_type = 't3'",
        "db.instance_type: 't3' does not look",
    ),
    ("[network]", "[aws]\naccess_key_id = 'AKIA'\n[network]", "aws.access_key_id: keys in a file are for an"),
    (
        "[network]",
        "termination_protection = 1\n[network]",
        "termination_protection: 1 is of the wrong type. Write true",
    ),
    ("[network]", "environment = 'x'\n[network]", "environment: there is no such setting."),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), WRONG, ids=[line[2][:50] for line in WRONG])
def test_a_wrong_setting_is_named_with_file_key_problem_and_remedy(tmp_path, right, wrong, sentence):
    assert right in GOOD
    read(tmp_path, GOOD)
    problem = complaint(tmp_path, GOOD.replace(right, wrong)).problem
    assert problem.startswith("environments/mine.toml: ")
    assert f"\n  {sentence}" in problem


@pytest.mark.parametrize(
    ("right", "other"),
    [
        ("chat.example.com", LONG[1:]),
        ('domain = "chat.example.com"', f'domain = "{LONG}"\ncertificate_arn = "{CERTIFICATE}"'),
        ("[app]", "nat = 'none'\nown_way_out = true\n[app]"),
        ('hosted_zone_id = "Z0123456789"', f'create_zone = true\ncertificate_arn = "{CERTIFICATE}"'),
    ],
)
def test_what_is_refused_has_a_way_out(tmp_path, right, other):
    assert read(tmp_path, GOOD.replace(right, other))


def test_an_api_of_ones_own_proves_certificates_in_zones_that_nothing_points_to(tmp_path):
    local = GOOD.replace("[network]", '[aws]\nendpoint_url = "http://10.0.0.1"\n[network]')
    assert read(tmp_path, local.replace('hosted_zone_id = "Z0123456789"', "create_zone = true")).create_zone


@pytest.mark.parametrize("cidr", ["172.31.0.0/16", "192.168.0.0/16", "100.64.0.0/16", "10.0.32.0/19"])
def test_every_private_network_will_do(tmp_path, cidr):
    assert read(tmp_path, GOOD.replace("10.42.0.0/16", cidr)).network.cidr == cidr


def test_where_no_time_zones_are_known_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    assert read(tmp_path, "timezone = 'Europe/Atlantis'" + GOOD).timezone == "Europe/Atlantis"


def test_everything_wrong_with_a_file_is_said_at_once(tmp_path):
    text = (
        GOOD.replace("2\nmax = 6", "9\nmax = 6")
        .replace("chat.example.com", "chat")
        .replace("[app]", "x=1\n[app]")
    )
    assert str(complaint(tmp_path, text)) == (
        "environments/mine.toml: 3 settings are wrong:\n"
        "  domain: 'chat' is not a domain name. Write one such as chat.example.com, in small letters.\n"
        "  network.x: there is no such setting. Known here: cidr, direct_ssh_cidrs, nat, operator_cidrs,"
        " own_way_out.\n"
        "  app.max: 6 is below app.min (9). Raise max or lower min.\n"
        "Mend environments/mine.toml: each line says how.\n"
        "Read more: docs/settings.md"
    )


def test_numbers_of_servers_are_judged_by_those_of_them_that_are_right(tmp_path):
    text = GOOD.replace("min = 2", "min = 'two'").replace("desired = 2", "desired = 7")
    assert complaint(tmp_path, text).problem.splitlines()[1:] == [
        "  app.min: 'two' is of the wrong type. Write a whole number, without quotes.",
        "  app.desired: 7 is outside min..max. Give a number from 1 to 6.",
    ]


def test_broken_toml_is_shown_with_line_and_column(tmp_path):
    error = complaint(tmp_path, 'account = "1"\nregion = eu-west-1\n')
    assert re.search(r"environments/mine.toml is not valid TOML: .*line 2, column 10", error.problem)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    assert "is not UTF-8 text" in complaint(tmp_path, b"account = '\xff'").problem


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "environments" / "bad.toml").mkdir(parents=True)
    with pytest.raises(CorralError) as caught:
        Settings.from_toml(tmp_path / "environments" / "bad.toml")
    assert caught.value.problem == "environments/bad.toml cannot be read: Is a directory."
    assert (caught.value.remedy, caught.value.see) == (
        "Make it a file that you may read.",
        "docs/settings.md",
    )


@pytest.mark.parametrize("name", ["Feature_1", "a-", "-", "-a", "1a", "sixteen-letters-"])
def test_a_file_name_that_aws_would_not_take_is_refused(tmp_path, name):
    assert f"{name!r} is no name for an environment" in complaint(tmp_path, GOOD, name=name).problem


@pytest.mark.parametrize("name", ["a", "a-b", "a1", "fifteen-letters"])
def test_a_file_name_that_aws_takes_names_the_environment(tmp_path, name):
    assert read(tmp_path, GOOD, name=name).environment == name


@given(base=st.integers(0, 255), prefix=st.integers(16, 19), letters=st.integers(2, 5))
def test_subnets_never_overlap_and_a_new_zone_moves_none(base, prefix, letters):
    network = IPv4Network((f"10.{base}.0.0", prefix), strict=False)
    fewer, more = (
        LAB.model_copy(
            update={
                "zones": tuple(f"eu-west-1{letter}" for letter in "abcdef"[:count]),
                "network": LAB.network.model_copy(update={"cidr": str(network)}),
            }
        )
        for count in (letters, letters + 1)
    )
    assert more.public_cidrs[:letters] == fewer.public_cidrs
    assert more.private_cidrs[:letters] == fewer.private_cidrs
    subnets = [IPv4Network(cidr) for cidr in (*more.public_cidrs, *more.private_cidrs)]
    assert all(subnet.prefixlen <= 27 for subnet in subnets), "a balancer takes no smaller one"
    assert all(subnet.subnet_of(network) for subnet in subnets)
    assert not any(a.overlaps(b) for a in subnets for b in subnets if a is not b)


def defaults(model, prefix=""):
    """Each key of the model with its default as the documentation writes it."""
    for name, field in model.model_fields.items():
        if (
            field.annotation
            and isinstance(field.annotation, type)
            and issubclass(field.annotation, BaseModel)
        ):
            yield from defaults(field.annotation, f"{name}.")
        elif not field.exclude:
            value = field.default
            shown = "" if field.is_required() else "none" if value is None else f"`{json.dumps(value)}`"
            yield prefix + name, shown


def test_every_setting_is_documented_with_its_default():
    page = (ROOT / "docs/settings.md").read_text()
    assert dict(re.findall(r"^\| `([\w.]+)` \| (.*?) ?\|", page, re.MULTILINE)) == dict(defaults(Settings))


def test_no_environment_but_one_with_an_endpoint_of_its_own_holds_keys():
    with_keys = [path.stem for path in ENVIRONMENTS.glob("*.toml") if "access_key" in path.read_text()]
    assert all(load(name).aws.endpoint_url for name in with_keys)


def test_a_host_of_an_environment_goes_by_its_own_role_and_amazons_names(monkeypatch):
    assert load("lab").aws.access_key_id == "lab"
    assert load("lab").ssh.private_key
    monkeypatch.setenv("CORRAL_OWN_ROLE", "yes")
    assert load("lab").aws == Aws()
    # Who logs in there brings the key.
    assert load("lab").ssh.private_key is None


@pytest.mark.parametrize(
    "repository", ["git@example.com:a/b.git", "https://token@example.com/b", "https://x/$(id)"]
)
def test_a_repository_is_an_address_by_https_without_a_login(tmp_path, repository):
    wrong = complaint(tmp_path, f'{GOOD}repository = """{repository}"""\n')
    assert "release.repository" in wrong.problem


def test_a_build_gets_whole_cpus_or_parts(tmp_path):
    for cpus, percent in (("2", 200), ("0.5", 50)):
        assert read(tmp_path, f"{GOOD}build_cpus = {cpus}\n").release.build_cpus * 100 == percent
