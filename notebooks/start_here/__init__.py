"""Start here: GANs in two dimensions, where every point can be seen."""
