"""What is shown of runs: the twin experiments of the paper, and a run as one HTML file."""
