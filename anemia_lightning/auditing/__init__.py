"""What `audit` does, step by step: from photographs to findings, their pictures, and what copies are worth."""
