"""What `compare` does, step by step: from folders to records, tables and a page."""
