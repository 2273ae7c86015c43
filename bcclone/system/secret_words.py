"""Hide what nobody else may read in what is shown or stored: tokens, passwords, signatures of URLs.

In: words of a command, or a text with URLs. Out: the same with placeholders, such as YOUR-PASSWORD.
"""

import re
from collections.abc import Iterable

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


# the password after a name, up to the last @ of a word, since people type passwords with a slash;
# digits and a slash are the port before a path
_PASSWORD = re.compile(r"(?<!file)(://[^/\s@:[]+:)(?!\d+/)\S*@")
# what stands alone before the @ is a token, but in protocols such as ssh the name of a user; the
# password beside a token is empty or x-oauth-basic
_TOKEN = re.compile(r"(https?://)[^/\s@:]*:?(?:x-oauth-basic)?@")
# what a signed URL or one with a key says after its path: X-Amz-Signature=, sig=, access_token=
_SIGNATURE = re.compile(
    r"([?&;#][\w.-]*(?:(?<![a-z])(?:sig(?!nal)|key|pwd)|(?:api|access|account|pair|private)[-_]?key"
    r"|signature|token|secret|credential|passw|auth(?!or))[\w.-]*=)[^&;#\s]+",
    re.IGNORECASE,
)


def without_password(text: str) -> str:
    """Return a text with YOUR-PASSWORD for each password in its URLs, and for each token, key or
    signature.
    """
    text = _TOKEN.sub(r"\1YOUR-PASSWORD@", text)
    text = _PASSWORD.sub(r"\1YOUR-PASSWORD@", text)
    return _SIGNATURE.sub(r"\1YOUR-PASSWORD", text)
