"""Try the notices: ``python -m webflow_conversions.notify --test`` sends one that says so to everybody who would be told."""

import argparse
import os
import sys


def main(arguments: list[str] | None = None) -> None:
    """Send the test notices; ends with what went wrong, if not all were handed over."""
    parser = argparse.ArgumentParser(prog="python -m webflow_conversions.notify", description=__doc__)
    parser.add_argument("--test", action="store_true", required=True, help="send a test through every entry of notices")
    parser.parse_args(arguments)
    # So that the connections of Airflow's own database count, not those of the environment alone.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from webflow_conversions.errors import ConversionsError
    from webflow_conversions.operators.notices import send_test_notices

    try:
        told = send_test_notices()
    except ConversionsError as refused:
        sys.exit(str(refused))
    except ExceptionGroup as failed:
        sys.exit("\n".join(map(str, failed.exceptions)))
    sys.stdout.write("".join(f"told: {notifier}\n" for notifier in told) or "The configuration names no notices.\n")


if __name__ == "__main__":
    main()
