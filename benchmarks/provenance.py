"""Where a figure comes from: the commit, the code that was measured, and the machine."""

import hashlib
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MEASURED = (
    "plugins", "dags", "include", "demo", "benchmarks", "tests/night.py", "requirements-dev.lock",
    ":!benchmarks/results.json", ":!benchmarks/report.py",
)  # fmt: skip
"""The files whose content a figure depends on. A commit of documents or of results leaves figures comparable."""


def origin(root: Path = ROOT) -> dict[str, Any]:
    """The commit, whether the measured files are those of the commit, and a digest of their content.

    Empty outside a git checkout: then a figure cannot be compared with any other.
    """
    try:
        commit = _git(root, "rev-parse", "--short=10", "HEAD").strip()
        changed = _git(root, "status", "--porcelain", "--", *MEASURED)
        files = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *MEASURED)
    except (OSError, subprocess.CalledProcessError):
        return {}
    digest = hashlib.sha256()
    for name in sorted(set(files.split("\0")) - {""}):
        path = root / name
        digest.update(f"{name}\0".encode() + (path.read_bytes() if path.is_file() else b"") + b"\0")
    return {"commit": commit, "clean": not changed, "code": digest.hexdigest()[:16]}


def machine(postgres_version: str) -> str:
    """The machine, in words."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory_gb:.0f} GB of memory, {platform.system()} {platform.release()},"
        f" Python {platform.python_version()}, PostgreSQL {postgres_version}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True).stdout  # noqa: S607
