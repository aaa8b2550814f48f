"""What AWS says of a request that it does not take, as a sentence with the way out."""

import pytest
from botocore.exceptions import ClientError

from corral.aws import explained
from corral.errors import CorralError
from corral.settings import load

LIVE = load("live")


@pytest.mark.parametrize(
    ("code", "message", "problem", "remedy"),
    [
        ("ExpiredToken", "…", "The AWS credentials have expired.", "Log in again: `aws sso login`."),
        ("RequestExpired", "…", "The AWS credentials have expired.", "Log in again: `aws sso login`."),
        (
            "InvalidClientTokenId",
            "…",
            "AWS does not know these credentials (InvalidClientTokenId).",
            "Where they work elsewhere, region eu-west-1 may not be enabled.",
        ),
        (
            "AuthorizationHeaderMalformed",
            "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
            "That is not in region eu-west-1: the region 'us-east-1' is wrong; expecting 'eu-west-1'",
            "Check `region`, and the endpoint if one is set (AWS_ENDPOINT_URL).",
        ),
        (
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region, not 'eu-west-1'.",
            "That is not in region eu-west-1: Credential should be scoped to a valid region",
            "Check `region`, and the endpoint if one is set (AWS_ENDPOINT_URL).",
        ),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
            "AWS refuses the signature (SignatureDoesNotMatch).",
            "Check the secret key, and this machine's clock",
        ),
        (
            "AccessDenied",
            "User: x is not authorized to perform: cloudformation:CreateChangeSet",
            "No permission for CreateChangeSet: User: x is not authorized",
            "Ask the account's administrator",
        ),
        ("Whatever", "Something else", "CreateChangeSet: Something else (Whatever)", ""),
    ],
)
def test_each_answer_is_a_sentence(code, message, problem, remedy):
    error = ClientError({"Error": {"Code": code, "Message": message}}, "CreateChangeSet")
    with pytest.raises(CorralError) as caught, explained(LIVE):
        raise error
    assert caught.value.problem.startswith(problem)
    assert remedy in caught.value.remedy
