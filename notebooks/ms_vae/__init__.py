"""Zhu et al. 2021, Learning Audio-Visual Correlations (MS-VAE)."""
