"""``python -m lingting`` is the program ``lingting``."""

from lingting.cli.main import run

if __name__ == "__main__":
    run()
