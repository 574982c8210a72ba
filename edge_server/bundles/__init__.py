"""Bundles: which ones a server holds, where they come from, and which are in memory."""
