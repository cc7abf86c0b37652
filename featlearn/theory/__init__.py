"""What the theory predicts, and whether a run bears it out."""

from .checking import check, check_pair
from .verdict import Verdict, at_least, at_most, does_not_apply, summary, table, within
