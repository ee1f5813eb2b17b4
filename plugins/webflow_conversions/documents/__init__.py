"""Pages of the documents that are generated from the code: reasons, verdicts, the answers of docs/delivery.md."""
