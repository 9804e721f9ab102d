"""Endpoints: what serves each twin, and how a new version takes over from the old one."""
