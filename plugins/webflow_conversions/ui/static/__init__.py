"""The page's style sheets, scripts and icons, by name; nothing else can be asked for."""

import hashlib
from functools import cache
from importlib.resources import files

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def contents() -> dict[str, tuple[bytes, str]]:
    """Each file and its media type."""
    return {
        entry.name: (entry.read_bytes(), TYPES[entry.name[entry.name.rindex(".") :]])
        for entry in files(__name__).iterdir()
        if entry.name.endswith(tuple(TYPES))
    }


@cache
def version() -> str:
    """A fingerprint of all of them, for their addresses."""
    digest = hashlib.sha256()
    for name in sorted(contents()):
        digest.update(contents()[name][0])
    return digest.hexdigest()[:12]
