"""Photos, frozen layers and the store of what these give, put together: what enters the network."""
