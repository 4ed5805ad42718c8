"""The frozen-trunk cache: what the trunk made of photographs, kept on disk and read instead of computed."""
