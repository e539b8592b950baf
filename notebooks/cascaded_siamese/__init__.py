"""Aldausari et al. 2022, Cascaded Siamese Self-supervised Audio to Video GAN."""
