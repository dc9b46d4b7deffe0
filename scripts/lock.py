"""Write constraints.txt from a fresh resolve of every extra, or ``--check`` an environment.

The resolve is pip's own and installs nothing. Only names and versions are kept: no index, no path.
A local version such as ``+cpu`` is dropped, so that the same file serves every build of PyTorch.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
EXTRAS = "nano,funasr,server,search,postgres,otel,mcp,bench,dev"
ALSO = ("pip", "setuptools", "hatchling", "editables")
FIXED = ("torch==2.13.0",)
"""Chosen by hand: the release the parity tests were run with."""
HEADER = """\
# Every package that any extra of Lingting brings, pinned. Made by `make lock`; do not edit.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare this environment instead")
    if parser.parse_args().check:
        return check()
    pins = resolve()
    lines = "".join(f"{name}=={pins[name]}\n" for name in sorted(pins))
    CONSTRAINTS.write_text(HEADER + lines, encoding="utf-8")
    print(f"constraints.txt: {len(pins)} packages pinned.")
    return 0


def resolve() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        wanted = [*FIXED, *ALSO, f"{ROOT}[{EXTRAS}]"]
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--quiet", "--report", report, *wanted], check=True)
        rows = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = [(row["metadata"]["name"], row["metadata"]["version"]) for row in rows]
    return {canonical(name): public(version) for name, version in found if name != "lingting"}


def check() -> int:
    """Everything that is installed here is pinned, at the version that is installed."""
    pins = read_pins()
    wrong = []
    for distribution in distributions():
        name, version = canonical(distribution.metadata["Name"]), public(distribution.version)
        if name != "lingting" and pins.get(name) != version:
            wrong.append(f"{name} {version}: {pins.get(name, 'not pinned')} in constraints.txt")
    for line in sorted(set(wrong)):
        print(line, file=sys.stderr)
    if wrong:
        print("Run `make clean setup`, or `make lock` after a change.", file=sys.stderr)
    return 1 if wrong else 0


def read_pins() -> dict[str, str]:
    text = CONSTRAINTS.read_text(encoding="utf-8")
    rows = [tuple(line.split("==", 1)) for line in text.splitlines() if line and line[0] != "#"]
    return dict(rows)


def canonical(name: str) -> str:
    """As PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def public(version: str) -> str:
    """Without the local part (PEP 440)."""
    return version.partition("+")[0]


if __name__ == "__main__":
    sys.exit(main())
