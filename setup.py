"""The long description of the package: the README, whose links lead to files that a package index does not have.

All else about the package is in pyproject.toml.
"""

import re
from pathlib import Path

from setuptools import setup

_RELATIVE = r"(?!https?://|#)[^)\s]+"


def long_description(readme: str) -> str:
    """The README without pictures, and without links to files of the repository: their words stay."""
    without_pictures = re.sub(rf"^!\[[^]]*\]\({_RELATIVE}\)\n\n?", "", readme, flags=re.MULTILINE)
    return re.sub(rf"(?<!!)\[([^]]+)\]\({_RELATIVE}\)", r"\1", without_pictures)


_README = Path(__file__).parent / "README.md"
setup(
    long_description=long_description(_README.read_text(encoding="utf-8")) if _README.is_file() else "",
    long_description_content_type="text/markdown",
)
