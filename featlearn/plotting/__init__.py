"""Figures: each a function that takes loaded runs, or a table, and returns a matplotlib Figure.

Nothing here touches pyplot or its global state; `save` writes the same bytes for the same figure.
"""

from .atoms import cosine_heatmaps, neurons_per_atom
from .canvas import label, label_runs, save
from .gallery import GALLERY, draw_gallery, save_twin_figures
from .headline import headline
from .probes import probe_errors
from .trajectories import alignment_trajectories, losses, sparse_and_dense
