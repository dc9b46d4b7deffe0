"""Make the virtual environment and install the locked packages: ``setup.py base`` or ``test``.

Standard library only, because it runs before anything is installed. A stamp holds the digest of
what decides the result, so that a second run does nothing at all and needs no network.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
TOOLS = ("pip", "setuptools", "hatchling", "editables")
"""What builds packages: pinned too, so that no build fetches anything of its own."""


@dataclass(frozen=True)
class Profile:
    """A set of extras, and what to tell the person who waits for it."""

    extras: str
    cost: str
    includes: tuple[str, ...]


PROFILES = {
    "base": Profile("[server]", "about 200 MB to fetch, half a minute to four", ("test", "base")),
    "test": Profile(
        "[dev,bench,nano,funasr,server]",
        "with PyTorch for the parity tests about 800 MB to fetch, two to ten minutes",
        ("test",),
    ),
}
PLAIN_WORDS = (
    (re.compile(r"Collecting ([^\s(<>=!~;\[]+)"), "looking up {}"),
    (
        re.compile(r"Downloading (\S+?)(?:-[^-\s]+){0,3}\.(?:whl|tar\.gz)(?:\.metadata)?"),
        "fetching {}",
    ),
    (re.compile(r"Building wheel for (\S+)"), "building {}"),
    (re.compile(r"(Installing) collected packages"), "unpacking and installing"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", choices=sorted(PROFILES))
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    arguments = parser.parse_args()
    profile, venv = PROFILES[arguments.profile], arguments.venv.absolute()
    if arguments.profile == "test":
        have_postgres()
        have_nginx()
        have_chromium()
    if is_done(venv, profile):
        return 0
    make_venv(venv)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-c", str(CONSTRAINTS)]
    extra = os.environ.get("PIP_ARGS", "").split()
    say(f"Installing the locked packages into {venv.name}: {profile.cost}.")
    log = venv / "setup.log"
    log.write_text("", encoding="utf-8")
    run_pip([*pip, *extra, *TOOLS], log)
    project = f"{ROOT}{profile.extras}"
    run_pip([*pip, *extra, "--no-build-isolation", "-e", project], log)
    stamp(venv, arguments.profile).write_text(digest(venv), encoding="ascii")
    say("The environment is ready.")
    return 0


def say(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


def stamp(venv: Path, profile: str) -> Path:
    return venv / f".lingting-{profile}"


def digest(venv: Path) -> str:
    """Of everything that decides what is installed, and where."""
    parts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    parts += [str(ROOT).encode(), (venv / "pyvenv.cfg").read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_done(venv: Path, profile: Profile) -> bool:
    if not runs(venv):
        return False
    now = digest(venv)
    stamps = [stamp(venv, name) for name in profile.includes]
    return any(path.is_file() and path.read_text(encoding="ascii") == now for path in stamps)


def runs(venv: Path) -> bool:
    """An environment whose Python has been taken away or moved does not."""
    python = venv / "bin" / "python"
    if not python.exists():
        return False
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0


def make_venv(venv: Path) -> None:
    if runs(venv):
        return
    shutil.rmtree(venv, ignore_errors=True)
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"Making a virtual environment with Python {version}.")
    if not has_ensurepip():
        install_venv_module()
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if done.returncode:
        stop(done.stdout + done.stderr, "Install the venv module of this Python and try again.")


def has_ensurepip() -> bool:
    command = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.run(command, capture_output=True).returncode == 0


def install_venv_module() -> None:
    """Debian and its children keep it in a package of its own."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not can_install():
        stop(
            "", f"This Python cannot make virtual environments. Run: sudo apt-get install {package}"
        )
    say(f"Installing {package}, which this Python lacks.")
    if trouble := installed(package):
        stop(trouble, f"{package} could not be installed; install it by hand and try again.")


def have_postgres() -> None:
    """The tests start a server of their own; without its programs they say so and leave it out."""
    is_there = shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if is_there or not can_install():
        return
    say("Installing postgresql, whose programs the tests start.")
    if installed("postgresql"):
        say("It could not be installed; the tests on Postgres will be left out and say so.")


def have_nginx() -> None:
    """Tests start it with the configuration of deploy/, or say that it is not there."""
    if shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin") or not can_install():
        return
    say("Installing nginx, which a test puts in front of the service.")
    if installed("nginx-light"):
        say("It could not be installed; the tests with nginx will be left out and say so.")


def have_chromium() -> None:
    """Tests open the pages in it, or say that it is not there; no browser is downloaded."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if any(map(shutil.which, names)) or not can_install():
        return
    say("Installing chromium, in which the tests open the pages.")
    if installed("chromium"):
        say("It could not be installed; the tests of the pages will be left out and say so.")


def can_install() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def installed(package: str) -> str:
    """What apt-get said when it could not; empty when the package is there."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, capture_output=True)
    done = subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
        env=environment,
        capture_output=True,
        text=True,
    )
    return (done.stderr or "apt-get failed") if done.returncode else ""


def run_pip(command: list[str], log: Path) -> None:
    """Run pip with its own words in ``log`` and a short line now and then for people."""
    environment = {
        **os.environ,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONUNBUFFERED": "1",
    }
    command = [*command, "--progress-bar", "off", "--retries", "3"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None  # we asked for the pipe
        lines = tee(process.stdout, log)
        Ticker().follow(lines)
    if process.returncode:
        explain(log)


def tee(lines: Iterator[str] | object, log: Path) -> Iterator[str]:
    with log.open("a", encoding="utf-8") as copy:
        for line in lines:  # type: ignore[attr-defined]
            copy.write(line)
            copy.flush()
            yield line


class Ticker:
    """One line that changes on a terminal; elsewhere a new line every ten seconds at most."""

    def __init__(self) -> None:
        self.begin_s = time.monotonic()
        self.shown_s = 0.0
        self.is_terminal = sys.stderr.isatty()

    def follow(self, lines: Iterator[str]) -> None:
        for line in lines:
            text = plain(line)
            if text:
                self.show(text)
        if self.is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        now_s = time.monotonic() - self.begin_s
        if self.is_terminal:
            print(f"\r\033[K    {now_s:4.0f} s  {text[:60]}", end="", file=sys.stderr, flush=True)
        elif now_s - self.shown_s >= 10:
            self.shown_s = now_s
            print(f"    {now_s:4.0f} s  {text}", file=sys.stderr, flush=True)


def plain(line: str) -> str | None:
    """What pip says, in few words; None for what nobody needs to see."""
    for pattern, text in PLAIN_WORDS:
        found = pattern.search(line)
        if found:
            return text.format(found.group(1))
    return None


def explain(log: Path) -> None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith(("ERROR", "error"))][-5:]
    unreachable = ("NewConnectionError", "Failed to establish", "name resolution", "ProxyError",
                   "ConnectTimeoutError", "NameResolutionError", "Read timed out")  # fmt: skip
    if any(word in line for line in lines for word in unreachable):
        errors = []  # pip's own last word then is about versions, and misleads
        advice = (
            "The package index could not be reached. Connect this machine (or set pip up for an "
            "index it can reach: pip config) and run the same command again; what was fetched is "
            "kept."
        )
    else:
        advice = f"pip could not install the packages; all it said is in {log}."
    stop("\n".join(errors), advice)


def stop(details: str, advice: str) -> None:
    if details.strip():
        print(details.strip(), file=sys.stderr)
    say(advice)
    sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
