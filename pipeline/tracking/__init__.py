"""MLflow runs that end as what they were: FINISHED, FAILED or KILLED.

MLflow takes seconds to import, so nothing here imports it before a run is started or read.
"""
