"""A model turned into simulations, fits of them, and a verdict on both."""
