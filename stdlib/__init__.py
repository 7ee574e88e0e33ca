"""Words of the language into their signatures (without JAX) and their implementations (with it)."""
