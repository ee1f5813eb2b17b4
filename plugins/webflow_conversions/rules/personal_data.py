"""What looks like personal data, which Webflow forbids (docs/webflow-api.md, User IDs), and its hash."""

import hashlib
import re
from enum import StrEnum
from unicodedata import normalize

_AT = r"@|%(?:25){0,3}40|&\#0{0,5}64;|&\#x0{0,5}40;|&commat;|[(\[]at[)\]]"
_EMAIL = re.compile(rf"[^@\s]\s?(?:{_AT})\s?[^@\s]+\.[^@\s.]{{2,}}", re.IGNORECASE)
"""A pattern for ``search``: one character before the @ is enough, so that the search takes linear time."""
_PHONE = re.compile(
    r"(?:tel:)?(?:"
    r"\+[1-9][\d\s()./-]{5,20}\d"
    r"|\(?0\d{1,5}\)?(?: \d{2,8}){1,5}"
    r"|\(?0[1-9]\d{1,4}\)? ?[/-] ?\d[\d /-]{4,10}\d"
    r"|(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"
    r")(?: ?(?:x|ext\.?|extension) ?\d{1,6})?",
    re.IGNORECASE,
)


class PersonalData(StrEnum):
    """The treatment of a user ID that looks like personal data (``known_users.personal_data``)."""

    REJECT = "reject"
    SHA256 = "sha256"


class PersonalDataInIds(StrEnum):
    """The treatment of a conversion ID that looks like personal data (``sources.personal_data``)."""

    REJECT = "reject"
    SHA256 = "sha256"
    ALLOW = "allow"


def looks_like_personal_data(text: str) -> bool:
    """Whether a text looks like an e-mail address or a phone number.

    A text of digits alone does not look like a phone number: such IDs are common.
    """
    if text.isalnum():
        return False
    return has_email(text) or _PHONE.fullmatch(_usual_letters(text).strip()) is not None


def has_email(text: str) -> bool:
    """Whether an e-mail address is somewhere in the text, whichever way its @ is written."""
    text = _usual_letters(text)
    may_have_one = "@" in text or "%" in text or "&" in text or ")" in text or "]" in text
    return may_have_one and _EMAIL.search(text) is not None


def _usual_letters(text: str) -> str:
    """The text with letters of another width (U+FF20) as the usual ones (@)."""
    return text if text.isascii() else normalize("NFKC", text)


def hashed(text: str) -> str:
    """SHA-256 of the trimmed, lower-case text, in hexadecimal, for a site that passes hashed IDs to Webflow."""
    return hashlib.sha256(text.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()
