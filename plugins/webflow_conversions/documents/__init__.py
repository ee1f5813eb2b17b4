"""Pages of the documents that are generated from the code, and the JSON schema of the configuration."""
