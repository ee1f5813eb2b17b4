"""The package's metadata for Airflow, read through the entry point ``apache_airflow_provider``: its connection types."""

from typing import Any

from webflow_conversions import __version__

_ALLOW_HTTP = {
    "label": "Allow http://",
    "description": "Send the token unencrypted to another machine.",
    "schema": {"type": ["boolean", "null"], "default": False},
}


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, by Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "webflow-offsite-conversions",
        "name": "Webflow off-site conversions",
        "description": "Pushes offline sales and CRM conversions to Webflow's conversion API.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "webflow",
                "hook-class-name": "webflow_conversions.hooks.webflow.WebflowHook",
                "hook-name": "Webflow off-site conversions",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "extra"],
                    "relabeling": {"host": "API host", "login": "Customer ID", "password": "Off-site conversion token"},
                    "placeholders": {
                        "host": "https://log.intellimize.co",
                        "login": "123456789 (the account ID in the code preview snippet)",
                        "password": "Insights > Tracking settings",
                    },
                },
                "conn-fields": {
                    "concurrency": {
                        "label": "Requests at once",
                        "description": "For each push worker, 1 to 1000; fewer whenever the API is slow.",
                        "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000, "default": 32},
                    },
                    "requests_per_second": {
                        "label": "Requests per second",
                        "description": "For all workers together; empty for no limit.",
                        "schema": {"type": ["number", "null"], "minimum": 0.1},
                    },
                    "timeout_seconds": {
                        "label": "Time-out (seconds)",
                        "description": "For one request.",
                        "schema": {"type": ["number", "null"], "minimum": 0.5, "maximum": 300, "default": 30},
                    },
                    "allow_http": _ALLOW_HTTP,
                },
            },
            {
                "connection-type": "webflow_data",
                "hook-class-name": "webflow_conversions.hooks.webflow_data.WebflowDataHook",
                "hook-name": "Webflow Data API",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port", "login", "extra"],
                    "relabeling": {"host": "API host", "password": "API token"},
                    "placeholders": {
                        "host": "https://api.webflow.com",
                        "password": "Site settings > Apps & integrations > API access",
                    },
                },
                "conn-fields": {
                    "site_id": {
                        "label": "Site ID",
                        "description": "From Site settings > General.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "timeout_seconds": {
                        "label": "Time-out (seconds)",
                        "description": "For one request.",
                        "schema": {"type": ["number", "null"], "minimum": 0.5, "maximum": 300, "default": 30},
                    },
                    "allow_http": _ALLOW_HTTP,
                },
            },
        ],
    }
