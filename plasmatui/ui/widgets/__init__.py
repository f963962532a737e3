"""Widgets that draw only what changed."""
