"""Gaussian blocks turned into densities, conditional laws and draws, by the structure they have."""
