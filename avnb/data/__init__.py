"""Recordings become prepared clips; prepared clips become tensors."""
