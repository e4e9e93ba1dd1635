"""Engines: one network at one precision, each behind the same interface."""
