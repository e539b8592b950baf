"""avnb: a course you can run, on generating sound and picture together."""
