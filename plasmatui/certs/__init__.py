"""Certificates: what files hold, and a small authority of the cluster's own."""
