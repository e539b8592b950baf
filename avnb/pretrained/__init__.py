"""Networks that were trained elsewhere: load and verify them."""
