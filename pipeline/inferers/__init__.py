"""Windows over whole scans, for validation and prediction."""

from pipeline.inferers.window import window_inferer

__all__ = ["window_inferer"]
