"""Whether recorded runs bear the theory out."""
