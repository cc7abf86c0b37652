"""Grids of experiments over any executor, the table of their rows, and powers fitted to it."""
