"""Lines per module of src, and the longest functions. A compass, not a rule."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
SHOWN = 12


def main() -> None:
    modules = []
    functions = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(SOURCE))
        modules.append((text.count("\n"), name))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                functions.append((lines, f"{name}:{node.lineno} {node.name}"))
    lengths = sorted(lines for lines, _ in functions)
    print(f"{len(modules)} modules, {sum(lines for lines, _ in modules)} lines")
    print(
        f"{len(lengths)} functions: median {statistics.median(lengths):.0f} lines, "
        f"p90 {lengths[int(len(lengths) * 0.9)]}"
    )
    for title, rows in (("longest modules", modules), ("longest functions", functions)):
        print(f"\n{title}")
        for lines, name in sorted(rows, reverse=True)[:SHOWN]:
            print(f"{lines:6d}  {name}")


if __name__ == "__main__":
    main()
