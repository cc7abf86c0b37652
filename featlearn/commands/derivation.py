"""Read the derivation of everything the theory predicts, here or as a page with set formulas.

examples:
  featlearn derivation
  featlearn derivation -o derivation.html
"""

import sys
from importlib import resources

from ..reports.page import page_path, write_page


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("-o", "--out", metavar="FILE.html", help="write it as a page instead")


def main(arguments):
    """Run it."""
    place = page_path("--out", arguments.out) if arguments.out else None
    text = (resources.files("featlearn.theory") / "derivation.md").read_text(encoding="utf-8")
    if place is not None:
        from ..reports.markdown import to_html

        write_page(place, to_html(text, "featlearn: derivations"))
        print(place)
    elif sys.stdout.isatty():
        import pydoc

        pydoc.pager(text)
    else:
        print(text, end="")
    return 0
