"""Write one HTML page that describes every public name of the Python package, with search.

examples:
  featlearn api -o api.html
"""

from ..reports.page import page_path, write_page


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("-o", "--out", metavar="FILE.html", required=True, help="where to write it")


def main(arguments):
    """Run it."""
    from ..reports.api import make_api

    place = page_path("--out", arguments.out)
    write_page(place, make_api())
    print(place)
    return 0
