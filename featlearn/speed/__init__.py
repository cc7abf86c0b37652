"""How fast a training step is: against the work it cannot avoid, and against the frameworks.

Used by ``scripts/benchmark.py`` alone; nothing else in featlearn imports it.
"""
