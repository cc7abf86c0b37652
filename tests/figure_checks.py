"""What every figure must be: whole, with data in each panel, and no legend over it."""

from featlearn import plotting


def assert_sound(figure):
    """Nothing reaches beyond the figure, every panel has data, and every legend is outside."""
    with plotting.canvas.in_style():
        figure.draw_without_rendering()
        box, width, height = figure.get_tightbbox(), *figure.get_size_inches()
    assert box.x0 > -0.02 and box.y0 > -0.02
    assert box.x1 < width + 0.02 and box.y1 < height + 0.02
    for axes in figure.axes:
        assert axes.has_data()
        assert axes.get_legend() is None
