"""What a finished network looks at, and what moves its decisions, step by step."""
