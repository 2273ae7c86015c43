"""Hide what nobody else may read in what is shown or stored: tokens, passwords, signatures of URLs.

In: words of a command, or a text with URLs. Out: the same with placeholders, such as YOUR-PASSWORD.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

# options whose values are secret; words of a command are repeated only by without_secrets()
SECRET_OPTIONS = ("--token",)


def without_secrets(words: Iterable[str]) -> list[str]:
    """Return the words of a command with placeholders for secrets, such as YOUR-TOKEN.

    Secrets are the values of secret options, and what without_password() hides in URLs.
    """
    shown_words: list[str] = []
    previous = ""
    for word in words:
        option, equals, _ = word.partition("=")
        if previous in SECRET_OPTIONS:
            shown_words.append(_placeholder(previous))
        elif option in SECRET_OPTIONS and equals:
            shown_words.append(f"{option}={_placeholder(option)}")
        else:
            shown_words.append(without_password(word))
        previous = word
    return shown_words


def _placeholder(option: str) -> str:
    return f"YOUR-{option.lstrip('-').upper()}"


# protocols in whose URLs what stands alone before the @ is a name: of a user, a container, a bucket
_NAMES_STAND_ALONE = frozenset(
    ("ssh", "sftp", "scp", "rsync", "git", "smb", "root", "hdfs", "webhdfs")
    + ("abfs", "abfss", "az", "adl", "wasb", "wasbs", "oci", "ocilake")
)
# protocols in whose URLs nothing before an @ is secret: github://ORGANISATION:REPOSITORY@REVISION
_WITHOUT_PASSWORDS = frozenset(("file", "local", "github"))
_PROTOCOL = re.compile(r"(?<![a-z\d+.-])([a-z][a-z\d+.-]*)://", re.IGNORECASE)
# hosts that no name of a user is: this machine, and addresses
_SURE_HOST = re.compile(r"localhost|\d+(?:\.\d+){3}", re.IGNORECASE)
# a parameter's name; its value is read ahead, since it may be a URL with parameters
_PARAMETER = re.compile(r"[?&;#]([^=&;#?]*)=(?=([^&]+))")
# names of parameters by which servers know a person or program: X-Amz-Signature, sig, rlkey, jwt,
# access_token, AWSAccessKeyId, PHPSESSID; as words in small letters with _ between them
_SECRET_NAME = re.compile(
    r"passw|passphrase|passcode|secret|credential|signature|assertion|jwt|bearer|cookie"
    r"|(?:^|_)(?:o?auth|authori[sz]ation|authentication)(?:_|$)"
    r"|(?:(?<!max_)tokens?|auth|hmac|(?<!don)(?<!mon)(?<!tur)keys?(?:_pair)?|sess(?:ion)?_?id|samlresponse"
    r"|(?:^|_)(?:sig|(?:user)?pass|pwd|pw|psw|sid|t?otp|pat|sas|ticket))(?:_?id)?[_\d]*$"
    r"|^(?:(?:auth|access|login|invite|share|verification)_?)?code$|^(?:sign|pin|pincode)$"
)


def without_password(text: str) -> str:
    """Return a URL, or a text with one, with YOUR-PASSWORD for what only its user may know.

    These are the user and password before the host, since a token stands in either place, and the
    values of parameters such as `sig`. Where a text can be read in two ways, the one with a
    password counts.
    """
    shown, begin = "", 0
    for found in _PROTOCOL.finditer(text):
        if found.start() < begin:
            continue
        protocol = found[1].lower().rpartition("+")[2]
        user = text[found.end() :][: _user_length(protocol, text[found.end() :])]
        if protocol in _NAMES_STAND_ALONE:
            name, colon, _ = user.partition(":")
            hidden = f"{name}:YOUR-PASSWORD@" if colon else user
        else:
            hidden = "YOUR-PASSWORD@" if user else ""
        shown += text[begin : found.end()] + hidden
        begin = found.end() + len(user)
    return _without_secret_parameters(shown + text[begin:])


def _user_length(protocol: str, address: str) -> int:
    """Return the length of what says who the user is, with its @, at the begin of an address.

    address: what a URL says after `://`
    """
    if protocol in _WITHOUT_PASSWORDS:
        return 0
    begin = 0
    while True:
        # people type passwords that have a slash or an @
        authority = re.split(r"[/?#\\]", address[begin:], maxsplit=1)[0]
        before, at, _ = authority.partition("@")
        is_password = ":" in before and (at or not _has_port(before, address[begin:]))
        if is_password and "@" in address[begin:]:
            return address.rindex("@") + 1
        if not at:
            return begin
        begin += len(before) + 1


def _has_port(authority: str, address: str) -> bool:
    """Return whether an authority is a host and its port, and no user and begun password."""
    host, _, port = authority.rpartition(":")
    ends = [re.split(r"[/?#:\\]", each, maxsplit=1)[0] for each in address.split("@")[1:]]
    later_hosts = [each for each in ends if re.search(r"[^\W\d_]|\d\.\d", each)]
    is_host = (
        bool(_SURE_HOST.fullmatch(host))
        or (host.startswith("[") and host.endswith("]"))
        or not later_hosts
        or ("." in host and not any("." in each for each in later_hosts))
    )
    return is_host and port.isdecimal() and len(port) <= 5


def _without_secret_parameters(text: str) -> str:
    shown, begin = "", 0
    for found in _PARAMETER.finditer(text):
        if found.start() >= begin and _is_secret(found[1]):
            shown += f"{text[begin : found.end()]}YOUR-PASSWORD"
            begin = found.end(2)
    return shown + text[begin:]


def _is_secret(parameter: str) -> bool:
    """Return whether a parameter of this name has a value that only its user may know."""
    words = re.sub(r"(?<=[a-z\d])(?=[A-Z])", "_", unquote(parameter))
    return bool(_SECRET_NAME.search(re.sub(r"[\W_]+", "_", words).strip("_").lower()))
