"""Draws turned into what is asked of a fit: groups, predictions, diagnoses, files."""
