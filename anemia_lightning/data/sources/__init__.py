"""Where photographs come from: one module per layout, each read into the same manifest."""
