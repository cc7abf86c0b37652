"""Figures: each a function that takes loaded runs, or a table, and returns a matplotlib Figure.

Nothing here touches pyplot or its global state; `save` writes the same bytes for the same figure.
"""

from . import anybackend  # before any other
from .animation import animate, neuron_map
from .asked import asked_quantities
from .atoms import cosine_heatmaps, neurons_per_atom
from .bands import seed_bands
from .canvas import label, label_runs, save
from .competition import competition
from .decoupling import cross_view_correlations, decoupling
from .forces import forces, record_forces
from .gallery import GALLERY, draw_gallery, draw_regimes, draw_twins, save_twin_figures
from .growth import stage_one_growth
from .headline import headline, regimes
from .limit import limit_collapse
from .lottery import lottery
from .phase import decoupling_diagram
from .probes import probe_errors
from .representation import representation
from .spectrum import spectrum_and_plateau
from .speed import speed
from .tables import phase_diagram, scaling_fits
from .trajectories import alignment_trajectories, losses, sparse_and_dense
