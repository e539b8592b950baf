"""Kurmi et al. 2021, Collaborative Learning to Generate Audio-Video Jointly."""
