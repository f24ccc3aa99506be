"""`python -m gateway`, and the entry point of the `gateway` command."""

from gateway.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
