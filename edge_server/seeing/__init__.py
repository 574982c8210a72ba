"""Seeing: what is shown of a server to those who run it."""
