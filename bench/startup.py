"""How long the program and the package take to start, with the interpreter's own start beside it.

    python bench/startup.py [--runs 15] [--json FILE]

Wall seconds from starting a process to its end, median of the runs; the cases take turns. One run
of each comes first and does not count: it fills the page cache and writes the bytecode.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from lingting.evaluate.machine import read_machine

HEAVY = ("av", "ctranslate2", "numpy", "onnxruntime", "opencc", "tokenizers", "torch")
LOADED = f"import sys, lingting; print(*(name for name in {HEAVY!r} if name in sys.modules))"


def cases() -> dict[str, list[str]]:
    """What is started, by the name it is printed under."""
    python = sys.executable
    program = Path(python).parent / "lingting"
    if not program.is_file():
        sys.exit("The program lingting is not beside this Python; install the package first.")
    return {
        "python -c pass": [python, "-c", "pass"],
        "import lingting": [python, "-c", "import lingting"],
        "from lingting import transcribe": [python, "-c", "from lingting import transcribe"],
        "lingting --help": [str(program), "--help"],
    }


def start(command: list[str]) -> float:
    """Wall seconds of one process. Raises CalledProcessError when it fails."""
    began_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began_s


def heavy_modules() -> list[str]:
    """Libraries that ``import lingting`` brings with it."""
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True)
    return done.stdout.decode().split()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time to start.")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    commands = cases()
    for command in commands.values():
        start(command)
    taken_s: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(given.runs):
        for name, command in commands.items():
            taken_s[name].append(start(command))
    machine, heavy = read_machine(), heavy_modules()
    print(f"median of {given.runs} runs, {machine.cpu}, Python {machine.python}")
    print(f"{'':33}{'median s':>9}{'least':>8}{'most':>8}")
    for name, each in taken_s.items():
        print(f"{name:33}{median(each):9.3f}{min(each):8.3f}{max(each):8.3f}")
    print(f"heavy modules after import lingting: {', '.join(heavy) or 'none'}")
    if given.json is not None:
        result = {
            "bench": "startup",
            "cpu": machine.cpu,
            "python": machine.python,
            "runs": given.runs,
            "median_s": {name: round(median(each), 4) for name, each in taken_s.items()},
            "all_s": {name: [round(one, 4) for one in each] for name, each in taken_s.items()},
            "heavy_modules_after_import": heavy,
        }
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
