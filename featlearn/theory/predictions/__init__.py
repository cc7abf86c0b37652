"""What the theory predicts, from an experiment alone."""
