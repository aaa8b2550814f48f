"""Policies in the lab's API decide as IAM's do."""

import pytest

from lab.cloud import policies


def statement(effect="Allow", action="s3:GetObject", resource="arn:aws:s3:::b/*", **condition):
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return [{"Statement": [made | ({"Condition": condition} if condition else {})]}]


@pytest.mark.parametrize(
    ("documents", "action", "resource", "context", "expected"),
    [
        (statement(), "s3:GetObject", "arn:aws:s3:::b/x/y", {}, True),
        (statement(), "s3:getobject", "arn:aws:s3:::b/x", {}, True),
        (statement(), "s3:GetObject", "arn:aws:s3:::B/x", {}, False),
        (statement(), "s3:PutObject", "arn:aws:s3:::b/x", {}, False),
        (statement(resource="arn:aws:s3:::b/a?c"), "s3:GetObject", "arn:aws:s3:::b/abc", {}, True),
        (statement(resource="arn:aws:s3:::b/a.c"), "s3:GetObject", "arn:aws:s3:::b/abc", {}, False),
        (statement(action="s3:*", resource="*"), "s3:Anything", "*", {}, True),
        (statement() + statement("Deny", "*", "*"), "s3:GetObject", "arn:aws:s3:::b/x", {}, False),
        (statement(Bool={"aws:SecureTransport": "true"}), "s3:GetObject", "arn:aws:s3:::b/x", {}, False),
        (
            statement(Bool={"aws:SecureTransport": "true"}),
            "s3:GetObject",
            "arn:aws:s3:::b/x",
            {"aws:securetransport": ["true"]},
            True,
        ),
        (statement(Unheard={"a": "b"}), "s3:GetObject", "arn:aws:s3:::b/x", {"a": ["b"]}, False),
        (
            statement() + statement("Deny", Unheard={"a": "b"}),
            "s3:GetObject",
            "arn:aws:s3:::b/x",
            {},
            False,
        ),
        (
            statement(**{"ForAllValues:StringEquals": {"k": ["a", "b"]}}),
            "s3:GetObject",
            "arn:aws:s3:::b/x",
            {"k": ["a", "c"]},
            False,
        ),
        (
            statement(**{"ForAnyValue:StringLike": {"k": ["a*"]}}),
            "s3:GetObject",
            "arn:aws:s3:::b/x",
            {"k": ["abc", "z"]},
            True,
        ),
        (
            statement(StringNotEquals={"k": "a"}),
            "s3:GetObject",
            "arn:aws:s3:::b/x",
            {"k": ["a"]},
            False,
        ),
        (statement(StringNotEquals={"k": "a"}), "s3:GetObject", "arn:aws:s3:::b/x", {}, True),
        (statement(Null={"k": "true"}), "s3:GetObject", "arn:aws:s3:::b/x", {"k": ["a"]}, False),
        (
            statement(NotIpAddress={"ip": "10.0.0.0/8"}),
            "s3:GetObject",
            "arn:aws:s3:::b/x",
            {"ip": ["10.1.2.3"]},
            False,
        ),
        (
            statement(StringEqualsIfExists={"k": "a"}),
            "s3:GetObject",
            "arn:aws:s3:::b/x",
            {},
            True,
        ),
    ],
)
def test_policies_decide_as_iam_does(documents, action, resource, context, expected):
    assert policies.allowed(documents, action, resource, context) is expected


def with_variables(resource, version="2012-10-17", **condition):
    [document] = statement(resource=resource, **condition)
    return [document | {"Version": version}]


@pytest.mark.parametrize(
    ("documents", "resource", "context", "expected"),
    [
        (with_variables("b/${aws:userid}"), "b/A:i-1", {"aws:userid": ["A:i-1"]}, True),
        (with_variables("b/${aws:UserId}/*"), "b/A:i-1/x", {"aws:userid": ["A:i-1"]}, True),
        (with_variables("b/${aws:userid}"), "b/A:i-2", {"aws:userid": ["A:i-1"]}, False),
        (with_variables("b/${aws:userid}"), "b/anything", {"aws:userid": ["*"]}, False),
        (with_variables("b/${aws:username}*"), "b/", {}, False),
        (with_variables("b/${aws:username}*"), "b/${aws:username}", {}, False),
        (with_variables("b/${aws:username, 'nobody'}"), "b/nobody", {}, True),
        (with_variables(["b/${aws:username}", "c/*"]), "c/x", {}, True),
        (with_variables("b/${*}${?}${$}x"), "b/*?$x", {}, True),
        (with_variables("b/${*}x"), "b/abcx", {}, False),
        (with_variables("b/${aws:userid}", version="2008-10-17"), "b/A", {"aws:userid": ["A"]}, False),
        (
            with_variables("*", StringEquals={"s3:prefix": "home/${aws:userid}"}),
            "b",
            {"aws:userid": ["A"], "s3:prefix": ["home/A"]},
            True,
        ),
        (
            with_variables("*", StringLike={"s3:prefix": "home/${aws:userid}/*"}),
            "b",
            {"aws:userid": ["A"], "s3:prefix": ["home/B/x"]},
            False,
        ),
        (with_variables("*", StringEquals={"k": "${aws:username}"}), "b", {"k": [""]}, False),
    ],
)
def test_variables_stand_for_what_the_request_says(documents, resource, context, expected):
    assert policies.allowed(documents, "s3:GetObject", resource, context) is expected
