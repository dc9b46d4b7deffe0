#!/bin/sh
# Print the Python to build the environment with: the first of these that runs, is 3.11 or newer and
# can make virtual environments. 3.11 comes first because constraints.txt was resolved with it.
set -u
fallback=""
for name in ${PYTHON:-python3.11 python3 python3.12 python3.13 python3.14 python}; do
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    path=$("$name" -c 'import sys; print(sys.executable)')
    if "$name" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        echo "$path"
        exit 0
    fi
    fallback=${fallback:-$path} # usable once its venv module is installed; setup.py tries that
done
if [ -n "$fallback" ]; then
    echo "$fallback"
    exit 0
fi
echo "No Python 3.11 or newer was found. Install one (for example: apt-get install python3)," >&2
echo "or name it: make demo PYTHON=/path/to/python3.12" >&2
exit 1
