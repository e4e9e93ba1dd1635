"""OpenVINO and NNCF may report home through one package; without it both go on in silence."""

import sys
from typing import Final

PACKAGE: Final = "openvino_telemetry"
SENDERS: Final = ("init", "start_session", "end_session", "force_shutdown")


def silence() -> None:
    """Keep the package from being imported, or from sending where another program has done so.

    To be called before every first import of `openvino` and `nncf`. Nothing is written into the
    user's home, where the package's own opt-out would have to stand.
    """
    loaded = sys.modules.setdefault(PACKAGE, None)  # type: ignore[arg-type] # means: not importable
    sender = getattr(loaded, "Telemetry", None)
    if sender is None:
        return
    events = [name for name in vars(sender) if name.startswith("send_")]
    for name in (*SENDERS, *events):
        setattr(sender, name, _nothing)


def _nothing(*args: object, **kwargs: object) -> None:
    """Send nothing."""
