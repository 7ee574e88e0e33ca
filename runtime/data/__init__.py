"""Data of any kind turned into arrays that fit a model: by name, by label, checked."""
