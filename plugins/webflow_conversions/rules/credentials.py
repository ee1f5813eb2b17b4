"""Customer IDs, tokens and site IDs as people paste them: what is trimmed, and what they look like.

The contract gives no lengths (docs/webflow-api.md, The request); a look is proof only where nothing else can be meant.
"""

import re

_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
_QUOTES = frozenset({'""', "''", "``", "“”", "„“", "‘’", "«»"})  # noqa: RUF001 - typographic quotes, on purpose
_HEADER = re.compile(r"(authorization\s*:\s*)?((apikey|bearer)(\s+|$)|token\s*:?\s+)?", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\*+|\$\{.*\}|\$\(.*\)|\$\w+|\{\{.*\}\}|<.*>|%\w+%")
_SITE_ID = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)
_DATA_TOKEN = re.compile(r"ws-.+|[0-9a-f]{64}", re.IGNORECASE)


def pasted(value: object) -> str:
    """The text without blanks, invisible characters and quotes around it; empty for None."""
    text = "" if value is None else str(value)
    while True:
        trimmed = text.strip().strip(_INVISIBLE)
        if trimmed[:1] + trimmed[-1:] in _QUOTES and len(trimmed) > 1:
            trimmed = trimmed[1:-1]
        if trimmed == text:
            return text
        text = trimmed


def pasted_token(value: object) -> str:
    """A token without what stands before it in a header, such as ``Bearer``."""
    return pasted(_HEADER.sub("", pasted(value), count=1))


def is_printable(text: str) -> bool:
    """Whether there are only visible ASCII characters in it, as in all IDs and tokens."""
    return all("!" <= character <= "~" for character in text)


def is_number(text: str) -> bool:
    """Whether it looks like a customer ID, as in Webflow's examples."""
    return text.isascii() and text.isdecimal()


def is_site_id(text: str) -> bool:
    """Whether it looks like the ID of a site, as in Webflow's examples."""
    return _SITE_ID.fullmatch(text) is not None


def is_placeholder(text: str) -> bool:
    """Whether it stands for a value that was never filled in, such as ``***``, the mask of Airflow's UI, or ``${TOKEN}``."""
    return _PLACEHOLDER.fullmatch(text) is not None


def look_of_token(token: str) -> str:
    """Half a sentence on a refused token that looks like something else; empty if it does not."""
    if is_number(token):
        return ", which is a number, as customer IDs are"
    if is_site_id(token):
        return ", which looks like a site ID"
    if _DATA_TOKEN.fullmatch(token):
        return ", which looks like one for the Data API"
    return ""
