"""``python -m featlearn`` is the command ``featlearn``."""

import sys

from .commands import main

if __name__ == "__main__":
    sys.exit(main())
