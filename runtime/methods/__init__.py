"""A program and its data turned into draws of what is left to inference."""
