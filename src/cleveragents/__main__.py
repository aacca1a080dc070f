"""``python -m cleveragents`` is the same as ``agents``."""

from cleveragents.cli.main import main

if __name__ == "__main__":
    main()
