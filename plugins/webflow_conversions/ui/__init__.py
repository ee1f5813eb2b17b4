"""The conversions page: what becomes of tonight's conversions, in Airflow's navigation."""
