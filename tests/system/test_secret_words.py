"""What only its user may know is hidden in URLs and commands, and nothing else is."""

import shlex

import pytest

from bcclone.system.errors import UserError
from bcclone.system.location import parse_location
from bcclone.system.secret_words import without_password, without_secrets

SECRET = "5f90e6"


@pytest.mark.parametrize(
    "address",
    [
        f"https://{SECRET}@h/lap",
        f"HTTPS://{SECRET}@h/lap",
        f"https://{SECRET}:@h/lap",
        f"https://{SECRET}:x@h/lap",
        f"https://{SECRET}:x-oauth-basic@h/lap",
        f"https://:{SECRET}@h/lap",
        f"https://u:{SECRET}@h/lap@2",
        f"https://u:1234/{SECRET}@h",
        f"https://u:1234/{SECRET}@h/lap@2",
        f"https://u:1234?{SECRET}@h.org/lap",
        f"https://u:1234/{SECRET}@10.0.0.1/lap",
        f"https://u:1234/{SECRET}@163.com",
        f"https://me.you:1234/{SECRET}@h.org/lap",
        f"https://me@mail.org:1234/{SECRET}@h.org",
        f"https://u:#{SECRET}@h",
        f"https://u:p@{SECRET}@h",
        f"https://u:p {SECRET}@h",
        f"https://u:p\\{SECRET}@h",
        f"https://u:http://{SECRET}@h",
        f"ftp://{SECRET}@h",
        f"webdav://{SECRET}@h",
        f"s3://{SECRET}@bucket/lap",
        f"git+https://{SECRET}@h/a.git@main",
        f"ssh://git:{SECRET}@h/lap",
        f"git+ssh://me@mail.org:{SECRET}@h/lap",
        f"simplecache::https://u:{SECRET}@h/lap",
        f"https://h/?next=https://u:{SECRET}@h2",
    ],
)
def test_the_user_before_a_host_is_hidden(address):
    shown = without_password(address)
    assert SECRET not in shown
    assert "YOUR-PASSWORD@" in shown
    with pytest.raises(UserError, match="without a password"):
        parse_location(address)


@pytest.mark.parametrize(
    "address",
    [
        "http://host:8080/lap@2",
        "http://host:8080/lap@2024-06-01/driving_log.csv",
        "http://localhost:8080/lap@home",
        "http://127.0.0.1:8080/lap@home",
        "http://[::1]:8080/lap@home",
        "http://host.org:8080/lap@home",
        "https://host/lap@home",
        "s3://bucket/lap@home",
        "git+ssh://git@host/lap@main",
        "sftp://me@host/lap",
        "abfs://container@account.dfs.core.windows.net/lap",
        "oci://bucket@namespace/lap",
        "github://somebody:laps@main/lap",
        "file:///data/a:b@c",
        "file://C:/data/a@b",
        "lap@home",
    ],
)
def test_what_is_no_user_before_a_host_stays(address):
    assert without_password(address) == address


@pytest.mark.parametrize(
    "names",
    [
        "token tokens access_token accessToken X-Amz-Security-Token tok%65n user[token] jwt id_jwt",
        "sig se_sig sign X-Amz-Signature oauth_signature X-Amz-Credential hmac",
        "password passwd pwd pw pass user_pass userpass passphrase secret client_secret",
        "key keys api_key apikey apiKey key2 AWSAccessKeyId Key-Pair-Id rlkey resourcekey authkey",
        "auth X-Auth tempauth Authorization code auth_code authcode otp totp pat",
        "sid connect.sid PHPSESSID jsessionid session_id sessionId sas ticket pincode",
    ],
)
@pytest.mark.parametrize("before", ["?", "?v=1&", "?v=1;", "#", ";", "?next=https://h2/?"])
def test_a_secret_parameter_is_hidden(names, before):
    for name in names.split():
        shown = without_password(f"https://h/lap{before}{name}={SECRET}/a?b c&w=2")
        assert shown == f"https://h/lap{before}{name}=YOUR-PASSWORD&w=2"


@pytest.mark.parametrize(
    "parameters",
    [f"token=a;{SECRET}", f"password=a#{SECRET}", f"password=a%23{SECRET}"],
)
def test_a_secret_within_a_value_is_hidden(parameters):
    assert SECRET not in without_password(f"https://h/lap?{parameters}")


@pytest.mark.parametrize(
    "names",
    [
        "keyboard key_frame keyframe keywords donkey monkey",
        "author authority authuser signal signed design session side insider residual",
        "passes bypass compass pass_count code_rate encoding postcode country_code codec",
        "tokenizer max_tokens versionId lap",
    ],
)
def test_another_parameter_stays(names):
    for name in names.split():
        address = f"https://h/lap?{name}=1&w=2"
        assert without_password(address) == address


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("drive --token 5f90 --port 80", "drive --token YOUR-TOKEN --port 80"),
        ("drive --token=5f90", "drive --token=YOUR-TOKEN"),
        ("drive --token --token 5f90", "drive --token YOUR-TOKEN YOUR-TOKEN"),
        ("preprocess https://me:5f90@h/lap", "preprocess https://YOUR-PASSWORD@h/lap"),
        ("preprocess --x=https://5f90@h/lap", "preprocess --x=https://YOUR-PASSWORD@h/lap"),
        ("preprocess 'https://h/a?sid=5f90 a'", "preprocess 'https://h/a?sid=YOUR-PASSWORD'"),
        ("preprocess lap@home?v=1", "preprocess lap@home?v=1"),
    ],
)
def test_a_command_is_repeated_without_its_secrets(typed, shown):
    assert without_secrets(shlex.split(typed)) == shlex.split(shown)
