"""Keys of stored rows: a hash of all that one row depends on and its collection does not."""

import hashlib
import json


def row_key(*ingredients: str) -> str:
    """Returns the SHA-256, in hexadecimal, of some texts in their order, such as a file's hash and a photo id."""
    return hashlib.sha256(json.dumps(ingredients).encode()).hexdigest()
