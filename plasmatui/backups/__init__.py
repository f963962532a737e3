"""Backups on this host: what lies in one, whether it is whole, and how it is written."""
