"""The command of the package: ``python -m webflow_conversions``."""

from webflow_conversions.cli.main import main

if __name__ == "__main__":
    main()
