"""What a classifier is worth: pure functions of labels and logits; `collection` alone needs torch."""
