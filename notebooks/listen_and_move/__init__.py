"""Redondo 2024, Listen and Move."""
