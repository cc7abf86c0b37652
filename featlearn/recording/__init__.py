"""What is kept of a run: its trajectory, checkpoints, and directory."""
