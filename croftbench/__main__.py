"""`python -m croftbench`."""

from croftbench.cli import main

if __name__ == "__main__":
    main()
