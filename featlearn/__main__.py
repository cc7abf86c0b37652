"""``python -m featlearn`` is the command ``featlearn``."""

import sys

from .commands import main

sys.exit(main())
