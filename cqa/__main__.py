"""`python -m cqa` is `cqa`."""

from cqa.cli import main

main()
