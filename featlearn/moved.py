"""Where modules went: their old dotted names can still be imported by outside scripts."""

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

_HOMES = {
    "compute": "gaussian streams threads workers workspace",
    "recording": "checkpoint files resources rundir trajectory",
    "sweeps": "measures results sweep",
    "reports": "reproduction",
    "theory.predictions": (
        "theory.balance theory.crossing theory.drift theory.exponents theory.floors"
        " theory.linear_network theory.lottery theory.mean_field theory.moments"
        " theory.neuron_moments theory.plan theory.plateau theory.preconditions theory.residual"
        " theory.saturation theory.softmax_plateau theory.stage_one theory.stages"
        " theory.starting_point theory.winners"
    ),
    "theory.claims": "theory.boundaries theory.checking theory.observed theory.verdict",
}
MOVED = {
    f"featlearn.{name}": f"featlearn.{home}.{name.rpartition('.')[2]}"
    for home, names in _HOMES.items()
    for name in names.split()
} | {
    "featlearn.team": "featlearn.compute.processes",
    "featlearn.report": "featlearn.reports.html",
    "featlearn.explain_text": "featlearn.explain.text",
    "featlearn.explain_check": "featlearn.explain.gradient_check",
    "featlearn.text_tables": "featlearn.explain.tables",
    "featlearn.theory.quantity": "featlearn.theory.claims.criterion",
    "featlearn.theory.conditions": "featlearn.theory.claims.applicability",
}


class _Finder(MetaPathFinder, Loader):
    """Finds a module under its old name: the same object as under its new one."""

    def find_spec(self, name, path, target=None):
        return ModuleSpec(name, self) if name in MOVED else None

    def create_module(self, spec):
        module = importlib.import_module(MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module):
        # The import system has just written the old name into it.
        module.__spec__ = module.__spec__.loader_state


def alias_loaded():
    """Give the modules loaded so far their old names too.

    A package calls it after it has imported functions that are named like their old modules, which
    a later import by an old name would put in their place.
    """
    for old, new in MOVED.items():
        if new in sys.modules:
            sys.modules.setdefault(old, sys.modules[new])


sys.meta_path.append(_Finder())
