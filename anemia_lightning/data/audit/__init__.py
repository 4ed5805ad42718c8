"""What is in the data and what is wrong with it, as plain tables and as findings; nothing here reads a file."""
