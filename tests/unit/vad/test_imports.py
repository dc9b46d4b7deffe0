"""The detector's modules cost nothing to import: the heavy library comes with the first model."""

import subprocess
import sys


def test_no_heavy_library_is_imported_with_the_modules() -> None:
    code = (
        "import sys, lingting.vad.speech;"
        "print(sorted({'onnxruntime', 'torch', 'av', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
