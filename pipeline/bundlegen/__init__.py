"""Writes the committed bundles from one template; finds drift."""
