"""Entry point of ``python -m gridlens``, which runs the command ``gridlens``."""

from gridlens.cli import main

if __name__ == "__main__":
    main()
