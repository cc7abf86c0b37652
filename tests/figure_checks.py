"""What every figure must be: whole, with data in each panel, and no legend over it."""

from matplotlib.colors import to_hex

from featlearn import plotting
from featlearn.plotting.canvas import BLUE, GREEN, VERMILLION

# These look the same in print without colours.
ALIKE = {color.lower() for color in (BLUE, GREEN, VERMILLION)}


def assert_sound(figure):
    """Nothing reaches beyond the figure, every panel has data and its letter, legends cover none."""
    with plotting.canvas.in_style():
        figure.draw_without_rendering()
        box, width, height = figure.get_tightbbox(), *figure.get_size_inches()
    assert box.x0 > -0.02 and box.y0 > -0.02
    assert box.x1 < width + 0.02 and box.y1 < height + 0.02
    legends = list(figure.legends)
    for axes in figure.axes:
        assert axes.has_data()
        legends += [axes.get_legend()] if axes.get_legend() else []
    for legend in legends:
        extent = legend.get_window_extent()
        for axes in plotting.canvas.panels(figure):
            # A pixel of rounding.
            assert not axes.bbox.padded(-1).overlaps(extent), [t.get_text() for t in legend.texts]
        assert_told_apart(legend)
    shown = plotting.canvas.panels(figure)
    letters = [[t.get_text() for t in axes.texts if t.get_fontweight() == "bold"] for axes in shown]
    if not figure.subfigs:
        assert letters == (
            [[]] if len(shown) == 1 else [[c] for c in "abcdefghijklmnop"][: len(shown)]
        )


def assert_told_apart(legend):
    """Entries in colours that are alike in grey differ in line style, marker or hatch."""
    seen = {}
    for handle in legend.legend_handles:
        if hasattr(handle, "get_marker"):
            color = to_hex(handle.get_color())
            look = handle.get_linestyle(), handle.get_marker(), handle.get_linewidth()
        else:
            color, look = to_hex(handle.get_facecolor()), handle.get_hatch()
        if color in ALIKE:
            assert seen.setdefault(look, color) == color, (look, color, seen[look])
