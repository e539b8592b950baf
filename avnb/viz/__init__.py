"""Figures, players, widgets and the live view of a training run."""
