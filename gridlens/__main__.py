"""``python -m gridlens`` is the command ``gridlens``."""

from gridlens.cli import main

if __name__ == "__main__":
    main()
