"""From folders of photographs to batches: sources, manifest, splits, reading, augmentation, loading."""
