"""The command ``webflow-conversions``, for people and scripts, beside ``airflow``."""
